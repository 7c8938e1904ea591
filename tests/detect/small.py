"""Detectors, datasets and settings, each as small as it can be."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cocopipe.detect.network.detector import Detector, build, save
from cocopipe.detect.settings import Augment, Optimizer, Schedule, Training
from cocopipe.detect.training.detections import Detections
from tests.detect.splits import CATEGORIES

CPU = torch.device("cpu")
LABELS = {7: 1, 3: 2}
"""Of the categories of `splits`."""

ADAMW = Optimizer(name="adamw", learning_rate=0.002, weight_decay=1e-4, momentum=0.9)
ONE_CYCLE = Schedule(name="one_cycle", warmup_fraction=0.25)
CONSTANT = Schedule(name="constant", warmup_fraction=0)
UNCHANGED = Augment(horizontal_flip=0, photometric=0, crop=0, scale=None)
TRAINING = Training(
    model="fcos_tiny",
    weights="none",
    image_size=64,
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
    augment=Augment(horizontal_flip=0.5, photometric=0.5, crop=0.3, scale=[0.8, 1.2]),
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


def written(detector: Detector, folder: Path) -> tuple[bytes, bytes]:
    """Save a detector into a new folder; return the bytes of weights and configuration."""
    folder.mkdir()
    save(detector, folder)
    return (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_bytes()


def detections(split: Path, **options: Any) -> Detections:
    """Read a split of `splits` without masks and augmentation, unless told."""
    defaults: dict[str, Any] = {"labels": LABELS, "masks": False, "augment": None, "seed": 0}
    return Detections(split, **(defaults | options))
