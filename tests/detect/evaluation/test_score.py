import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cocopipe.detect.evaluation.score import METRICS, names, score
from cocopipe.detect.network.parts import Part
from cocopipe.errors import UserError
from tests.detect.splits import CATEGORIES, posed, rectangles


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


def with_crowds(document: dict[str, Any]) -> dict[str, Any]:
    """Image 0 has no objects; some others are crowds, drawn as RLE."""
    crowds = []
    for image_id in (2, 5):
        pixels = np.zeros((64, 96), np.uint8, order="F")
        pixels[10:50, 20:90] = 1
        packed = coco_mask.encode(pixels)
        crowds.append(
            {
                "image_id": image_id,
                "category_id": 3,
                "bbox": [20, 10, 70, 40],
                "area": 2800,
                "iscrowd": 1,
                "segmentation": {**packed, "counts": packed["counts"].decode()},
                "keypoints": [0] * 9,
                "num_keypoints": 0,
            }
        )
    assert all(item["image_id"] for item in document["annotations"])
    annotations = [*document["annotations"], *crowds]
    numbered = [{**item, "id": number} for number, item in enumerate(annotations)]
    return {**document, "annotations": numbered}


def drawn(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Results with masks and keypoints near the truth, boxes far from both."""
    rng = np.random.default_rng(1)
    results = []
    for item in document["annotations"]:
        x, y, w, h = item["bbox"]
        for _ in range(int(rng.integers(0, 3))):
            pixels = np.zeros((64, 96), np.uint8, order="F")
            dx, dy = rng.integers(-4, 5, 2)
            pixels[max(0, y + dy) : y + dy + h, max(0, x + dx) : x + dx + w] = 1
            packed = coco_mask.encode(pixels)
            points = np.array(item["keypoints"], float).reshape(-1, 3)
            points[:, :2] += rng.normal(0, 1.5, (3, 2))
            results.append(
                {
                    "image_id": item["image_id"],
                    "category_id": item["category_id"],
                    "bbox": [0, 0, 1, 1],
                    "segmentation": {**packed, "counts": packed["counts"].decode()},
                    "keypoints": points.round(2).ravel().tolist(),
                    "score": round(float(rng.random()), 2),
                }
            )
    return results


@pytest.mark.parametrize(
    ("part", "field"), [(Part.MASK, "segmentation"), (Part.KEYPOINTS, "keypoints")]
)
def test_masks_and_keypoints_are_scored_as_by_pycocotools(part: Part, field: str) -> None:
    document = with_crowds(posed(truth()))
    assert document["annotations"][0]["id"] == 0
    results = drawn(document)
    ours = score(document, results, part)

    # An annotation id of 0 is "unmatched" there.
    numbered = [{**item, "id": item["id"] + 1} for item in document["annotations"]]
    theirs = COCO()
    theirs.dataset = json.loads(json.dumps({**document, "annotations": numbered}))
    theirs.createIndex()
    others = {"bbox", "segmentation", "keypoints"} - {field}
    told = [{key: value for key, value in each.items() if key not in others} for each in results]
    evaluation = COCOeval(theirs, theirs.loadRes(told), str(part))
    if part is Part.KEYPOINTS:
        # Those of COCO are for 17 points; here is the mean of them for each.
        evaluation.params.kpt_oks_sigmas = np.full(3, 0.0669)
        assert evaluation.params.kpt_oks_sigmas[0] == pytest.approx(
            COCOeval(iouType="keypoints").params.kpt_oks_sigmas.mean(), abs=5e-5
        )
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    expected = [None if value == -1 else value for value in evaluation.stats.tolist()]
    assert list(ours.metrics) == list(names(part))
    assert list(ours.metrics.values()) == pytest.approx(expected, abs=1e-6)
    assert 0 < ours.metrics[f"AP{part.suffix}"] < 1
    assert [each.id for each in ours.per_category] == sorted(c["id"] for c in CATEGORIES)


@pytest.mark.parametrize("part", [Part.MASK, Part.KEYPOINTS])
def test_no_masks_and_no_keypoints_score_zero(part: Part) -> None:
    scores = score(posed(truth()), [], part)
    assert {value for value in scores.metrics.values() if value is not None} == {0}


def test_the_names_of_metrics() -> None:
    assert names(Part.BOX) == METRICS
    assert names(Part.MASK)[:4] == ("AP_segm", "AP50_segm", "AP75_segm", "AP_small_segm")
    assert names(Part.KEYPOINTS)[3:6] == (
        "AP_medium_keypoints",
        "AP_large_keypoints",
        "AR_keypoints",
    )
