"""hotcoco comes to the numbers of pycocotools, bit by bit."""

import contextlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hotcoco
import numpy as np
import numpy.typing as npt
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.truth import truth
from cocopipe.detect.training.average_precision import AveragePrecision
from cocopipe.split.boxes import is_box
from tests.detect.splits import posed, rectangles

Document = dict[str, Any]
Results = list[dict[str, Any]]


def official(document: Document, results: Document, kind: str) -> npt.NDArray[np.float64]:
    """The array of precisions by pycocotools alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        sides = []
        for each in (document, results):
            side = COCO()
            side.dataset = each
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"])


def found(document: Document, results: Results) -> Document:
    """Results as pycocotools' own `loadRes` has them."""
    boxes = [{**each, "area": each["bbox"][2] * each["bbox"][3]} for each in results]
    return {**document, "annotations": numbered(boxes)}


def fast(document: Document, results: Document, kind: str) -> npt.NDArray[np.float64]:
    evaluation = hotcoco.COCOeval(hotcoco.COCO(document), hotcoco.COCO(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    assert evaluation.eval is not None
    return np.asarray(evaluation.eval["precision"])


def near(document: Document, seed: int = 0, most: int = 3) -> Results:
    """Some results near each box, some of another category; many have the same score."""
    rng = np.random.default_rng(seed)
    categories = [category["id"] for category in document["categories"]]
    return [
        {
            "image_id": item["image_id"],
            "category_id": item["category_id"]
            if rng.random() < 0.8
            else int(rng.choice(categories)),
            "bbox": [
                round(side + move, 2)
                for side, move in zip(
                    item["bbox"], rng.normal(0, 0.1, 4) * np.tile(item["bbox"][2:], 2), strict=True
                )
            ],
            "score": round(float(rng.random()), 2),
        }
        for item in truth(document)["annotations"]
        for _ in range(int(rng.integers(0, most + 1)))
    ]


def shifted_masks(document: Document) -> Results:
    """Some results near each mask, as RLE."""
    rng = np.random.default_rng(0)
    index = COCO()
    index.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    results = []
    for item in document["annotations"]:
        pixels = index.annToMask(item)
        for _ in range(int(rng.integers(0, 3))):
            moved = np.roll(pixels, rng.integers(-6, 7, 2), (0, 1))
            encoded = coco_mask.encode(np.asfortranarray(moved))
            results.append(
                {
                    "image_id": item["image_id"],
                    "category_id": item["category_id"],
                    "segmentation": {**encoded, "counts": encoded["counts"].decode()},
                    "bbox": coco_mask.toBbox(encoded).tolist(),
                    "area": float(coco_mask.area(encoded)),
                    "score": round(float(rng.random()), 2),
                }
            )
    return results


def shifted_points(document: Document) -> Results:
    """Some results near the keypoints of each person."""
    rng = np.random.default_rng(0)
    results = []
    for item in document["annotations"]:
        for _ in range(int(rng.integers(0, 3))):
            points = np.array(item["keypoints"], float).reshape(-1, 3)
            points[:, :2] += rng.normal(0, 4, (len(points), 2))
            low, high = points[:, :2].min(0), points[:, :2].max(0)
            results.append(
                {
                    "image_id": item["image_id"],
                    "category_id": item["category_id"],
                    "keypoints": points.round(2).ravel().tolist(),
                    "bbox": [*low.tolist(), *(high - low).tolist()],
                    "area": float(np.prod(high - low)),
                    "score": round(float(rng.random()), 2),
                }
            )
    return results


def packed(document: Document) -> Document:
    """The same with its masks as compressed RLE."""
    index = COCO()
    index.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    annotations = []
    for item in document["annotations"]:
        encoded = index.annToRLE(item)
        counts = encoded["counts"]
        text = counts if isinstance(counts, str) else counts.decode()
        annotations.append({**item, "segmentation": {**encoded, "counts": text}})
    return {**document, "annotations": annotations}


MOST = 250
"""Annotations of a set: pycocotools takes its time."""


def documents(real_data: Path, field: str) -> Iterator[Document]:
    """The documents of all COCO sets, with the annotations that have a field, numbered from 1."""
    for path in sorted(real_data.rglob("*.json")):
        document = json.loads(path.read_text())
        annotations = [
            {
                **{name: item[name] for name in ("image_id", "category_id", "bbox", field)},
                "area": float(item.get("area") or 1),
                "iscrowd": int(bool(item.get("iscrowd"))),
                "num_keypoints": item.get("num_keypoints", 0),
            }
            for item in document.get("annotations", [])
            if item.get(field) and is_box(item.get("bbox"))
        ]
        if annotations:
            yield {
                "images": [
                    {name: image[name] for name in ("id", "width", "height") if name in image}
                    for image in document["images"]
                ],
                "categories": [
                    {"id": each["id"], "name": each["name"]} for each in document["categories"]
                ],
                "annotations": numbered(annotations[:MOST]),
            }


def numbered(annotations: Results) -> Results:
    return [{"iscrowd": 0, **each, "id": number} for number, each in enumerate(annotations, 1)]


@pytest.mark.real_data
def test_boxes_of_all_sets(real_data: Path) -> None:
    scored = 0
    for document in documents(real_data, "bbox"):
        results = near(document)
        whole = official(truth(document), found(document, results), "bbox")
        precision = AveragePrecision(document)
        assert np.array_equal(precision.precision(results), whole)
        scored += precision.is_defined
    assert scored >= 20


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("field", "kind", "of", "sets"),
    [
        ("segmentation", "segm", shifted_masks, 10),
        ("keypoints", "keypoints", shifted_points, 2),
    ],
)
def test_masks_and_keypoints_of_all_sets(
    real_data: Path, field: str, kind: str, of: Callable[[Document], Results], sets: int
) -> None:
    compared = 0
    for document in documents(real_data, field):
        if kind == "keypoints" and len(document["annotations"][0]["keypoints"]) != 3 * 17:
            continue  # pycocotools knows the sigmas of COCO's 17 alone
        found = of(document)
        results = {**document, "annotations": numbered(found)}
        whole = official(document, results, kind)
        assert np.array_equal(fast(document, results, kind), whole)
        told = packed(document) if kind == "segm" else document
        precision = AveragePrecision(told, Part(kind))
        assert np.array_equal(precision.precision(found), whole)
        compared += 1
    assert compared >= sets


def many() -> Document:
    """Images with and without objects, crowds, gaps between ids, annotation ids from 0."""
    rng = np.random.default_rng(0)
    images = rng.choice(10**6, 30, replace=False).tolist()
    categories = [90, 1, 44, 7]
    corners, sides = rng.uniform(0, 400, (300, 2)), rng.uniform(1, 250, (300, 2))
    return {
        "images": [{"id": each, "width": 640, "height": 640} for each in images],
        "categories": [{"id": each, "name": f"c{each}"} for each in categories],
        "annotations": [
            {
                "id": number,
                "image_id": images[number % 20],
                "category_id": int(rng.choice(categories[:3])),
                "bbox": [*corner.round(2).tolist(), *side.round(2).tolist()],
                "area": float(side.prod() * rng.choice([0.5, 1])),
                "iscrowd": int(rng.random() < 0.2),
            }
            for number, (corner, side) in enumerate(zip(corners, sides, strict=True))
        ],
    }


def odd_ids(document: Document) -> Document:
    """The same with names, sizes and ids of images and categories that hotcoco refuses."""
    images = {each["id"]: 5 - each["id"] for each in document["images"]}
    categories = {each["id"]: -each["id"] for each in document["categories"]}
    return {
        "images": [{"id": each, "width": None, "height": 1.5} for each in images.values()],
        "categories": [{"id": each, "name": each} for each in categories.values()],
        "annotations": [
            {
                **item,
                "image_id": images[item["image_id"]],
                "category_id": categories[item["category_id"]],
            }
            for item in document["annotations"]
        ],
    }


def one_crowded_image(document: Document) -> Document:
    """The same with more results an image than count."""
    (image, *_) = document["images"]
    annotations = [{**item, "image_id": image["id"]} for item in document["annotations"]]
    return {**document, "annotations": annotations}


@pytest.mark.parametrize("change", [dict, odd_ids, one_crowded_image])
@pytest.mark.parametrize("most", [0, 1, 5])
def test_what_is_made_up(change: Callable[[Document], Document], most: int) -> None:
    document = change(many())
    results = near(document, most=most)
    assert bool(results) == bool(most)
    assert document["annotations"][0]["id"] == 0
    precision = AveragePrecision(document)
    whole = official(truth(document), found(document, results), "bbox")
    assert np.array_equal(precision.precision(results), whole)
    scores = score(document, results).metrics
    assert precision.of(results) == {name: scores[name] for name in ("AP", "AP50")}
    assert precision.of(results)["AP"] > 0 if most else precision.of(results)["AP"] == 0


def test_an_annotation_id_of_0_is_matched_where_pycocotools_leaves_it_out() -> None:
    """Which is why both get them numbered from 1."""
    document, _ = rectangles(12, seed=5, odd=False)
    (first, *_) = document["annotations"]
    assert first["id"] == 0
    (result,) = numbered([{**first, "score": 1.0}])
    results = {**document, "annotations": [result]}
    theirs, own = official(document, results, "bbox"), fast(document, results, "bbox")
    assert not np.array_equal(theirs, own)
    assert own.max() == pytest.approx(1)
    assert theirs.max() == 0
    assert {each["id"] for each in truth(document)["annotations"]} == set(
        range(1, len(document["annotations"]) + 1)
    )


@pytest.mark.parametrize("kept", ["nothing", "crowds", "no images"])
def test_without_anything_to_be_found_it_is_not_defined(kept: str) -> None:
    document = many()
    results = near(document)
    document["annotations"] = [
        {**item, "iscrowd": 1} for item in document["annotations"] if kept == "crowds"
    ]
    if kept == "no images":
        document["images"], results = [], []
    precision = AveragePrecision(document)
    assert not precision.is_defined
    assert precision.of(results) == {}


def test_results_of_categories_that_the_truth_does_not_list_count_for_nothing() -> None:
    document = many()
    results = near(document)
    unknown = {**results[0], "category_id": 1234}
    precision = AveragePrecision(document)
    assert precision.of([*results, unknown]) == precision.of(results)
    assert score(document, [*results, unknown]) == score(document, results)


@pytest.mark.parametrize(("part", "of"), [("segm", shifted_masks), ("keypoints", shifted_points)])
def test_masks_and_keypoints_come_to_what_an_evaluation_says(
    part: str, of: Callable[[Document], Results]
) -> None:
    document, _ = rectangles(12, seed=5, odd=False)
    document = packed(posed(document))
    results = of(document)
    precision = AveragePrecision(document, Part(part))
    scores = score(document, results, Part(part)).metrics
    assert precision.of(results) == {name: scores[name] for name in (f"AP_{part}", f"AP50_{part}")}
    assert 0 < precision.of(results)[f"AP_{part}"] < 1
    assert precision.of([]) == {f"AP_{part}": 0, f"AP50_{part}": 0}
