import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cocopipe.detect.evaluation import METRICS, predict, score
from cocopipe.detect.models import Detector, build
from cocopipe.detect.training import train
from cocopipe.errors import UserError
from cocopipe.split.tables import read_document
from tests.detect.splits import CATEGORIES, rectangles, write_split

pytestmark = [
    pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

CPU = torch.device("cpu")


def truth(images: int = 12) -> dict[str, Any]:
    document, _ = rectangles(images, seed=5, odd=False)
    return document


def shifted(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Results near the truth, some of them wrong."""
    rng = np.random.default_rng(0)
    results = []
    for item in document["annotations"]:
        x, y, w, h = item["bbox"]
        dx, dy = rng.normal(0, 3, 2).tolist()
        category = item["category_id"] if rng.random() < 0.8 else 10 - item["category_id"]
        results.append(
            {
                "image_id": item["image_id"],
                "category_id": category,
                "bbox": [x + dx, y + dy, w, h],
                "score": float(rng.random()),
            }
        )
    return results


def test_scores_are_those_of_pycocotools(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    document = truth()
    for number, item in enumerate(document["annotations"], start=1):
        item["id"] = number
    results = shifted(document)
    ours = score(document, results)
    assert capfd.readouterr() == ("", "")

    (tmp_path / "truth.json").write_text(json.dumps(document))
    theirs = COCO(tmp_path / "truth.json")
    evaluation = COCOeval(theirs, theirs.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = [None if value == -1 else value for value in evaluation.stats.tolist()]
    assert list(ours.metrics) == list(METRICS)
    assert list(ours.metrics.values()) == expected
    assert 0 < expected[0] < expected[1] < 1
    assert ours.metrics["AP_large"] is None

    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    names = {category["id"]: category["name"] for category in CATEGORIES}
    for place, category in enumerate(ours.per_category):
        assert names[category.id] == category.name
        assert category.ap == pytest.approx(precision[:, :, place].mean())
        assert category.ap50 == pytest.approx(precision[0, :, place].mean())
        assert category.annotations == sum(
            item["category_id"] == category.id for item in document["annotations"]
        )
    for name in ("AP", "AP50"):
        curve = ours.curves[name]
        assert [row["recall"] for row in curve] == pytest.approx(np.linspace(0, 1, 101))
        mean = np.mean([row["precision"] for row in curve])
        assert mean == pytest.approx(ours.metrics[name])


def test_perfect_results_score_one_whatever_the_ids() -> None:
    document = truth()  # its first annotation has the id 0
    results = [
        {**{key: item[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for item in document["annotations"]
    ]
    assert score(document, results).metrics["AP"] == pytest.approx(1)


def test_no_results_score_zero() -> None:
    scores = score(truth(), [])
    assert {value for value in scores.metrics.values() if value is not None} == {0}
    assert [category.ap for category in scores.per_category] == [0, 0]
    assert {row["precision"] for row in scores.curves["AP"]} == {0}


def test_missing_fields_are_filled_and_odd_boxes_left_out() -> None:
    document = truth()
    results = shifted(document)
    expected = score(document, results).metrics
    for item in document["annotations"]:
        del item["area"], item["iscrowd"], item["segmentation"]
    document["annotations"][3]["area"] = None
    odd = [{"bbox": [1, float("nan"), 2, 2]}, {"bbox": []}, {"bbox": None}, {}]
    document["annotations"] += [{"id": 90, "image_id": 1, "category_id": 3, **box} for box in odd]
    assert score(document, results).metrics == expected


def test_crowds_are_ignored_and_absent_categories_have_no_score() -> None:
    document = truth()
    document["categories"] = [*document["categories"], {"id": 50, "name": "absent"}]
    document["annotations"].append(
        {"id": 91, "image_id": 0, "category_id": 3, "bbox": [0, 0, 90, 60], "iscrowd": 1}
    )
    in_the_crowd = {"image_id": 0, "category_id": 3, "bbox": [5, 5, 20, 20], "score": 0.99}
    results = shifted(document)
    scores = score(document, results)
    assert scores.metrics == score(document, [*results, in_the_crowd]).metrics
    absent = scores.per_category[-1]
    assert (absent.name, absent.annotations, absent.ap, absent.ap50) == ("absent", 0, None, None)


@pytest.mark.parametrize("crowd", [False, True])
def test_a_ground_truth_without_boxes_is_refused(crowd: bool) -> None:
    document = truth()
    document["annotations"] = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 9, 9], "iscrowd": 1}
    ] * crowd
    with pytest.raises(UserError, match="ground truth has no box to be found in its 12 images"):
        score(document, [])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Detector, Path]:
    """A detector of red and blue rectangles that knows what it looks for."""
    split = write_split(tmp_path_factory.mktemp("s"), *rectangles(32, seed=2, odd=False))
    detector = build("fcos_tiny", categories=CATEGORIES, weights="none", image_size=48, seed=0)
    events = train(
        detector,
        split,
        split,
        epochs=10,
        batch_size=8,
        optimizer="adamw",
        learning_rate=0.004,
        weight_decay=1e-4,
        momentum=0.9,
        schedule="one_cycle",
        warmup=0.2,
        gradient_clip=10.0,
        augment={"horizontal_flip": 0.5},
        seed=0,
        device=CPU,
        workers=0,
    )
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
    detector = build(architecture, categories=CATEGORIES, weights="none", image_size=size, seed=0)
    results = found(detector, split, score_threshold=0.0)
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
    detector = build("fcos_tiny", categories=CATEGORIES, weights="none", image_size=32, seed=0)
    finder = RedFinder()
    found = predict(
        Detector(finder, detector.config),
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
