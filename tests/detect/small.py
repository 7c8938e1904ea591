"""Detectors, datasets and settings, each as small as it can be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models.detection import KeypointRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.keypoint_rcnn import KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from cocopipe.detect.network.detector import Detector, LearntCategory, ModelConfig, build, save
from cocopipe.detect.network.parts import Keypoints, Part
from cocopipe.detect.settings import Augment, Optimizer, Schedule, Training
from cocopipe.detect.training.detections import Detections
from tests.detect.splits import CATEGORIES

CPU = torch.device("cpu")
LABELS = {7: 1, 3: 2}
"""Of the categories of `splits`."""

ADAMW = Optimizer(
    name="adamw", learning_rate=0.002, weight_decay=1e-4, momentum=0.9, backbone_rate=1.0
)
ONE_CYCLE = Schedule(name="one_cycle", warmup_fraction=0.25)
CONSTANT = Schedule(name="constant", warmup_fraction=0)
UNCHANGED = Augment(horizontal_flip=0, photometric=0, crop=0, scale=None, multi_scale=None)
TRAINING = Training(
    model="fcos_tiny",
    weights="none",
    image_size=64,
    trainable_layers=None,
    epochs=2,
    eval_epochs=1,
    select="last",
    patience=None,
    ema=None,
    batch_size=3,
    compile=False,
    sync_norms=False,
    seed=0,
    optimizer=ADAMW,
    schedule=ONE_CYCLE,
    gradient_clip=10.0,
    augment=Augment(
        horizontal_flip=0.5, photometric=0.5, crop=0.3, scale=[0.8, 1.2], multi_scale=None
    ),
)


def new_detector(
    architecture: str = "fcos_tiny",
    *,
    categories: Sequence[dict[str, object]] = CATEGORIES,
    weights: str | Path = "none",
    image_size: int | None = None,
    seed: int = 0,
) -> Detector:
    """Build one for the categories of `splits`, with random weights unless told."""
    return build(
        architecture, categories=categories, weights=weights, image_size=image_size, seed=seed
    )


@contextmanager
def own_hub(folder: Path) -> Iterator[Path]:
    """Let torch keep published weights in a folder of the test's own, which it yields."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(folder / "hub")
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    yield folder / "hub" / "checkpoints"
    torch.hub.set_dir(before)


def without_background(detector: Detector) -> Detector:
    """Make a small one that has learnt nothing never find the background, as after training."""
    with torch.no_grad():
        detector.module.head.classification_head.cls_logits.bias[0] = -20
    return detector


POINTS = Keypoints(("left_corner", "middle", "right_corner"), ((1, 2), (2, 3)))
"""Of the documents that `splits.posed` makes."""


class _Stem(nn.Sequential):
    """A backbone of two convolutions, strides of 8."""

    out_channels = 16

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(3, 8, 3, stride=4, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, self.out_channels, 3, stride=2, padding=1),
            nn.ReLU(),
        )


def tiny(part: Part, *, seed: int = 0) -> Detector:
    """torchvision's Mask R-CNN or Keypoint R-CNN on a small backbone, with random weights."""
    torch.manual_seed(seed)
    width = _Stem.out_channels
    shared: dict[str, Any] = {
        "min_size": 64,
        "max_size": 128,
        "rpn_anchor_generator": AnchorGenerator(((16, 32),), ((0.5, 1.0, 2.0),)),
        "rpn_post_nms_top_n_train": 40,
        "rpn_post_nms_top_n_test": 20,
        "box_roi_pool": MultiScaleRoIAlign(["0"], output_size=7, sampling_ratio=2),
        "box_head": TwoMLPHead(width * 7**2, 32),
        "box_predictor": FastRCNNPredictor(32, len(LABELS) + 1),
        "box_detections_per_img": 6,
        "box_batch_size_per_image": 32,
    }
    classes = len(LABELS) + 1
    pool = MultiScaleRoIAlign(["0"], output_size=14, sampling_ratio=2)
    module: nn.Module
    if part is Part.MASK:
        module = MaskRCNN(
            _Stem(),
            mask_roi_pool=pool,
            mask_head=MaskRCNNHeads(width, (8,), 1),
            mask_predictor=MaskRCNNPredictor(8, 8, classes),
            **shared,
        )
    else:
        module = KeypointRCNN(
            _Stem(),
            keypoint_roi_pool=pool,
            keypoint_head=KeypointRCNNHeads(width, (8,)),
            keypoint_predictor=KeypointRCNNPredictor(8, len(POINTS.names)),
            num_keypoints=None,
            **shared,
        )
    names = {each["id"]: each["name"] for each in CATEGORIES}
    return Detector(
        module,
        ModelConfig(
            architecture={Part.MASK: "maskrcnn", Part.KEYPOINTS: "keypointrcnn"}[part],
            min_size=64,
            max_size=128,
            num_classes=classes,
            frozen_norm_eps=None,
            categories=tuple(LearntCategory(LABELS[key], key, names[key]) for key in LABELS),
            keypoints=POINTS if part is Part.KEYPOINTS else None,
        ),
    )


def written(detector: Detector, folder: Path) -> tuple[bytes, bytes]:
    """Save a detector into a new folder; return the bytes of weights and configuration."""
    folder.mkdir()
    save(detector, folder)
    return (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_bytes()


def detections(split: Path, **options: Any) -> Detections:
    """Read a split of `splits` without masks and augmentation, unless told."""
    defaults: dict[str, Any] = {"labels": LABELS, "masks": False, "augment": None, "seed": 0}
    return Detections(split, **(defaults | options))
