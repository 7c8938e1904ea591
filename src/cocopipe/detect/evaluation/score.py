"""COCO's scores of what a detector found."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from cocopipe.detect.prediction.truth import truth
from cocopipe.errors import UserError

METRICS = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""COCO's twelve, in the order of pycocotools' ``stats``."""


@dataclass(frozen=True)
class CategoryScore:
    """How well one category is found."""

    id: int
    name: str
    annotations: int
    """How many the ground truth has, without crowds."""
    ap: float | None
    """The average precision, a mean over IoU 0.50 to 0.95; None where there is nothing to find."""
    ap50: float | None
    """The average precision at IoU 0.50."""


@dataclass(frozen=True)
class Scores:
    """COCO's scores of boxes."""

    metrics: dict[str, float | None]
    """The values of `METRICS` by name; None where the ground truth has nothing of that size."""
    per_category: list[CategoryScore]
    """The scores of each category, in the order of the document's categories."""
    curves: dict[str, list[dict[str, float]]]
    """Rows of ``recall`` (0, 0.01, … 1) and ``precision``, means over the categories:
    ``AP50`` at IoU 0.50, ``AP`` over IoU 0.50 to 0.95."""


def score(ground_truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> Scores:
    """Score boxes with pycocotools.

    Args:
        ground_truth: A COCO document, taken as `truth` says.
        results: COCO results of images in the ground truth; none at all score 0.

    Raises:
        UserError: there is no box in the ground truth to be found.
    """
    to_find = truth(ground_truth)
    if all(annotation["iscrowd"] for annotation in to_find["annotations"]):
        raise UserError(
            "the ground truth has no box to be found in its "
            f"{len(to_find['images'])} images: evaluate on a split with annotations"
        )
    expected, given = _index(to_find), _index(_found(to_find, results))
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(expected, given, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # IoU thresholds, recalls, categories; of every size, with 100 predictions an image.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    recalls = evaluation.params.recThrs.tolist()
    return Scores(
        metrics={
            name: _known(value) for name, value in zip(METRICS, evaluation.stats, strict=True)
        },
        per_category=[
            _category_score(expected, category_id, precision[:, :, place])
            for place, category_id in enumerate(evaluation.params.catIds)
        ],
        curves={
            "AP50": _curve(recalls, precision[:1]),
            "AP": _curve(recalls, precision),
        },
    )


def _found(truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    annotations = [
        {**result, "id": number, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for number, result in enumerate(results, start=1)
    ]
    return {**truth, "annotations": annotations}


def _index(document: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco


def _category_score(
    expected: COCO, category_id: int, precision: npt.NDArray[np.float64]
) -> CategoryScore:
    """Score one category; ``precision`` is [IoU thresholds, recalls]."""
    annotations = expected.loadAnns(expected.getAnnIds(catIds=[category_id], iscrowd=False))
    return CategoryScore(
        id=category_id,
        name=expected.cats[category_id]["name"],
        annotations=len(annotations),
        ap=_known(precision.mean()),
        ap50=_known(precision[0].mean()),
    )


def _curve(recalls: Sequence[float], precision: npt.NDArray[np.float64]) -> list[dict[str, float]]:
    """Average ``precision`` [IoU thresholds, recalls, categories] over those with objects."""
    present = precision[0, 0] > -1
    means = precision[:, :, present].mean(axis=(0, 2)).tolist()
    return [
        {"recall": recall, "precision": mean} for recall, mean in zip(recalls, means, strict=True)
    ]


def _known(value: float) -> float | None:
    """Turn pycocotools' -1, "there was nothing to be found", into None."""
    return None if value == -1 else float(value)
