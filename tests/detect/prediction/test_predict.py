import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.detector import Detector
from cocopipe.detect.prediction.predict import predict
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.team import Resources
from cocopipe.split.tables import read_document
from tests.detect.small import ADAMW, CPU, ONE_CYCLE, TRAINING, UNCHANGED, new_detector
from tests.detect.splits import rectangles, write_split


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, odd_split: Path) -> tuple[Detector, Path]:
    """A detector of red and blue rectangles that knows what it looks for."""
    split = write_split(tmp_path_factory.mktemp("s"), *rectangles(32, seed=2, odd=False))
    detector = new_detector(image_size=48)
    settings = replace(
        TRAINING,
        epochs=8,
        batch_size=8,
        optimizer=replace(ADAMW, learning_rate=0.004),
        schedule=replace(ONE_CYCLE, warmup_fraction=0.2),
        augment=replace(UNCHANGED, horizontal_flip=0.5),
    )
    events = train(detector, split, odd_split, settings, Resources(CPU))
    for _ in events:
        pass
    return detector, split


def found(detector: Detector, split: Path, **settings: Any) -> list[dict[str, Any]]:
    defaults = {"batch_size": 8, "score_threshold": 0.05, "device": CPU, "workers": 0}
    return predict(detector, split, **(defaults | settings))


def test_predictions_of_a_trained_detector_score_well(trained: tuple[Detector, Path]) -> None:
    detector, split = trained
    results = found(detector, split)
    assert list(results[0]) == ["image_id", "category_id", "bbox", "score"]
    assert {item["category_id"] for item in results} == {3, 7}
    assert json.loads(json.dumps(results)) == results
    metrics = score(read_document(split, "instances"), results).metrics
    assert metrics["AP50"] is not None
    assert metrics["AP50"] > 0.8


def test_predictions_come_by_image_and_best_first(trained: tuple[Detector, Path]) -> None:
    results = found(*trained)
    order = [(item["image_id"], -item["score"]) for item in results]
    assert order == sorted(order)
    assert results == found(*trained, workers=2)


def test_the_threshold_replaces_the_modules_own(trained: tuple[Detector, Path]) -> None:
    detector, split = trained
    own = detector.module.score_thresh
    everything = found(detector, split, score_threshold=0.0)
    assert min(item["score"] for item in everything) < own
    per_image = [sum(item["image_id"] == key for item in everything) for key in range(32)]
    assert max(per_image) <= 100
    good = found(detector, split, score_threshold=0.4)
    assert 0 < len(good) < len(everything)
    assert min(item["score"] for item in good) >= 0.4
    assert detector.module.score_thresh == own


@pytest.mark.parametrize(
    "architecture", ["fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"]
)
def test_other_families_predict_too(split: Path, architecture: str) -> None:
    size = None if architecture.startswith("ssd") else 64
    results = found(new_detector(architecture, image_size=size), split, score_threshold=0.0)
    assert results
    assert score(read_document(split, "instances"), results).metrics["AP"] is not None


class RedFinder(torch.nn.Module):
    """Finds the largest extent of red in an image, at whatever size it comes."""

    score_thresh = 0.0
    detections_per_img = 100

    def __init__(self) -> None:
        super().__init__()
        self.sizes: set[tuple[int, ...]] = set()

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        self.sizes |= {tuple(image.shape) for image in images}
        return [self._found((image[0] - image[2]) > 0.3) for image in images]

    def _found(self, is_red: torch.Tensor) -> dict[str, torch.Tensor]:
        ys, xs = is_red.nonzero(as_tuple=True)
        corners = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else []
        boxes = torch.tensor([corners] if corners else [], dtype=torch.float32).reshape(-1, 4)
        return {
            "boxes": boxes,
            "labels": torch.full((len(boxes),), 2),
            "scores": torch.ones(len(boxes)),
        }


def test_boxes_found_on_reduced_images_are_of_the_stored_ones(split: Path) -> None:
    finder = RedFinder()
    found = predict(
        Detector(finder, new_detector(image_size=32).config),
        split,
        batch_size=2,
        score_threshold=0.1,
        device=CPU,
        workers=0,
    )
    assert finder.sizes == {(3, 32, 48)}
    document, _ = rectangles(8, seed=0, odd=False)
    red = [item for item in document["annotations"] if item["category_id"] == 3]
    alone = {
        item["image_id"] for item in red if sum(o["image_id"] == item["image_id"] for o in red) == 1
    }
    assert len(alone) > 2
    boxes = {item["image_id"]: item["bbox"] for item in found}
    for item in red:
        if item["image_id"] in alone:
            assert boxes[item["image_id"]] == pytest.approx(item["bbox"], abs=3)
