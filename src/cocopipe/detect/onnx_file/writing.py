"""Writing a detector as an ONNX file."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from cocopipe.detect.network.detector import Detector, ModelConfig, limited
from cocopipe.detect.prediction.predict import MOST_PER_IMAGE
from cocopipe.errors import UserError

IMAGE = "image"
OUTPUTS = ("boxes", "labels", "scores")
"""Names in the file. The image is float32 [3, H, W] in 0..1, of any height and width; boxes are
float32 [N, 4], xyxy in pixels of that image, labels int64 [N], scores float32 [N], best first."""

CATEGORIES = "categories"
"""The entry of the file's metadata with what each label means, as JSON."""

OPSET = 17


class _OneImage(nn.Module):
    """Takes an image and gives a tuple, as the file does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Find objects on an image [3, H, W]."""
        (found,) = self.module([image])
        return tuple(found[name] for name in OUTPUTS)


def check(config: ModelConfig) -> None:
    """Refuse what an ONNX file would not hold.

    Raises:
        UserError: The network has masks.
    """
    if config.needs_masks:
        raise UserError(
            f"{config.architecture} has masks, which an ONNX file does not get: export a detector"
            " of boxes, such as fasterrcnn_resnet50_fpn"
        )


def write_onnx(
    detector: Detector, path: Path, *, score_threshold: float, about: Mapping[str, str]
) -> None:
    """Write a detector as an ONNX file, with its own limits in it.

    Args:
        detector: Moved to the CPU, and into prediction mode.
        path: The file.
        score_threshold: What scores lower is left out; the best 100 of an image are kept.
        about: More for the file's metadata.

    Raises:
        UserError: As of `check`.
    """
    import onnx

    check(detector.config)
    module = detector.module.cpu().eval()
    # Noise finds something, so that no part of the network is left out while it is traced.
    example = torch.rand(3, 160, 224, generator=torch.Generator().manual_seed(0))
    limits = limited(module, score_threshold=score_threshold, most=MOST_PER_IMAGE)
    with torch.no_grad(), limits, warnings.catch_warnings():
        # Of the tracer, which Python's own conditions are constants to; the file is scored after.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _OneImage(module),
            (example,),
            str(path),
            dynamo=False,  # with True, torchvision's detectors fail
            opset_version=OPSET,
            input_names=[IMAGE],
            output_names=list(OUTPUTS),
            dynamic_axes={
                IMAGE: {1: "height", 2: "width"},
                **{name: {0: "objects"} for name in OUTPUTS},
            },
        )
    model = onnx.load(path, format="protobuf")
    categories = [asdict(category) for category in detector.config.categories]
    described = {
        CATEGORIES: json.dumps(categories),
        "architecture": detector.config.architecture,
        "score_threshold": str(score_threshold),
        **about,
    }
    onnx.helper.set_model_props(model, described)
    onnx.save(model, path, format="protobuf")
