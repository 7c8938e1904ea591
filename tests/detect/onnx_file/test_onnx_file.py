"""An ONNX file finds what torch finds, on images of any size."""

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.detector import Detector, limited
from cocopipe.detect.onnx_file.running import OnnxModule
from cocopipe.detect.onnx_file.writing import OUTPUTS, check, write_onnx
from cocopipe.detect.prediction.predict import predict
from cocopipe.errors import UserError
from cocopipe.split.objects import ground_truth
from tests.detect.fitted import fitted
from tests.detect.small import CPU, new_detector
from tests.detect.splits import rectangles, write_split

SIZES = ((100, 140), (64, 64), (37, 90), (150, 90))
"""Heights and widths."""


def lively(detector: Detector) -> Detector:
    """One that learnt nothing, but whose norms fit its features, so that what it finds differs.

    Of equal scores, no order is the right one.
    """
    for part in detector.module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    generator = torch.Generator().manual_seed(2)
    images = [torch.rand(3, 120, 120, generator=generator) for _ in range(2)]
    target = {"boxes": torch.tensor([[9.0, 9.0, 90.0, 90.0]]), "labels": torch.tensor([1])}
    with torch.no_grad():
        detector.module.train()(images, [target, target])
    return detector


@pytest.mark.parametrize(
    ("architecture", "size"),
    [
        ("fcos_tiny", 64),
        pytest.param("ssdlite320_mobilenet_v3_large", None, marks=pytest.mark.slow),
        pytest.param("fasterrcnn_mobilenet_v3_large_320_fpn", 96, marks=pytest.mark.slow),
        pytest.param("retinanet_resnet50_fpn", 64, marks=pytest.mark.slow),
    ],
)
def test_the_file_finds_what_torch_finds(
    tmp_path: Path, architecture: str, size: int | None
) -> None:
    detector = lively(new_detector(architecture, image_size=size))
    write_onnx(detector, tmp_path / "m.onnx", score_threshold=0.01, about={})
    file = OnnxModule(tmp_path / "m.onnx", score_threshold=0.01)
    generator = torch.Generator().manual_seed(1)
    for height, width in SIZES:
        image = torch.rand(3, height, width, generator=generator)
        with torch.no_grad(), limited(detector.module, score_threshold=0.01, most=100):
            (own,) = detector.module.eval()([image])
        (found,) = file([image])
        assert len(own["scores"]) > 10
        assert own["scores"].unique().numel() > 10
        torch.testing.assert_close(found["scores"], own["scores"], rtol=5e-3, atol=1e-3)
        assert lost(own, found) <= 5  # on the edge of what is dropped as the same object


def lost(own: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> int:
    """How many of the one are not among the other."""
    return sum(
        not (
            (found["labels"] == label)
            & ((found["boxes"] - box).abs().amax(1) < 0.1)
            & ((found["scores"] - score).abs() < 1e-3)
        ).any()
        for box, label, score in zip(*(own[name] for name in OUTPUTS), strict=True)
    )


def test_it_scores_as_the_model_does_and_says_what_it_is(tmp_path: Path) -> None:
    drawn = rectangles(6, seed=2, odd=False)
    split, detector = write_split(tmp_path, *drawn), fitted(*drawn, steps=16)
    path = tmp_path / "m.onnx"
    write_onnx(detector, path, score_threshold=0.01, about={"model_hash": "0123.dir"})
    exported = replace(detector, module=OnnxModule(path, score_threshold=0.01))
    own, of_file = (
        score(
            ground_truth(split),
            predict(each, split, batch_size=1, score_threshold=0.01, device=CPU, workers=0),
        ).metrics
        for each in (detector, exported)
    )
    assert own["AP"] > 0.1
    assert of_file["AP"] == pytest.approx(own["AP"], abs=0.001)
    model = onnx.load(path)
    onnx.checker.check_model(model)
    said = {each.key: each.value for each in model.metadata_props}
    assert json.loads(said["categories"]) == [
        {"label": 1, "id": 7, "name": "blue"},
        {"label": 2, "id": 3, "name": "red"},
    ]
    assert said["model_hash"] == "0123.dir"
    assert said["architecture"] == "fcos_tiny"
    assert [each.name for each in model.graph.input] == ["image"]
    assert [each.name for each in model.graph.output] == ["boxes", "labels", "scores"]


def test_masks_are_refused() -> None:
    config = replace(new_detector().config, architecture="maskrcnn_resnet50_fpn")
    with pytest.raises(UserError, match="maskrcnn_resnet50_fpn has masks, which an ONNX file"):
        check(config)
