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

from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.truth import sigmas, truth
from cocopipe.errors import UserError

METRICS = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
"""COCO's twelve of boxes and masks, in the order of pycocotools' ``stats``."""

KEYPOINT_METRICS = (
    *("AP", "AP50", "AP75", "AP_medium", "AP_large"),
    *("AR", "AR50", "AR75", "AR_medium", "AR_large"),
)
"""COCO's ten of keypoints, with 20 predictions an image; small objects have none labelled."""


def names(part: Part) -> tuple[str, ...]:
    """Return the metrics of a part as they are called, in the order of pycocotools' ``stats``.

    Those of masks end in ``_segm``, of keypoints in ``_keypoints``.
    """
    own = KEYPOINT_METRICS if part is Part.KEYPOINTS else METRICS
    return tuple(f"{name}{part.suffix}" for name in own)


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
    """COCO's scores of boxes, masks or keypoints."""

    metrics: dict[str, float | None]
    """The values of `names` by name; None where the ground truth has nothing of that size."""
    per_category: list[CategoryScore]
    """The scores of each category, in the order of the document's categories."""
    curves: dict[str, list[dict[str, float]]]
    """Rows of ``recall`` (0, 0.01, … 1) and ``precision``, means over the categories:
    ``AP50`` at IoU 0.50, ``AP`` over IoU 0.50 to 0.95."""


def score(
    ground_truth: Mapping[str, Any], results: Sequence[Mapping[str, Any]], part: Part = Part.BOX
) -> Scores:
    """Score results with pycocotools.

    Args:
        ground_truth: A COCO document, taken as `truth` says.
        results: COCO results of images in the ground truth, all with that part; none at all
            score 0.
        part: What is scored.

    Raises:
        UserError: there is no box in the ground truth to be found.
    """
    to_find = truth(ground_truth, part)
    boxes = to_find["annotations"] if part is Part.BOX else truth(ground_truth)["annotations"]
    if all(annotation["iscrowd"] for annotation in boxes):
        raise UserError(
            "the ground truth has no box to be found in its "
            f"{len(to_find['images'])} images: evaluate on a split with annotations"
        )
    with contextlib.redirect_stdout(io.StringIO()):
        expected = _index(to_find)
        evaluation = COCOeval(expected, _found(expected, results, part), str(part))
        if part is Part.KEYPOINTS and to_find["annotations"]:
            points = len(to_find["annotations"][0]["keypoints"]) // 3
            evaluation.params.kpt_oks_sigmas = sigmas(points)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    # IoU thresholds, recalls, categories; of every size, with the most predictions an image.
    precision = evaluation.eval["precision"][:, :, :, 0, -1]
    recalls = evaluation.params.recThrs.tolist()
    return Scores(
        metrics={
            name: _known(value) for name, value in zip(names(part), evaluation.stats, strict=True)
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


_SCORED_BY = {Part.BOX: "bbox", Part.MASK: "segmentation", Part.KEYPOINTS: "keypoints"}
"""The field of a result that tells a part."""


def _found(expected: COCO, results: Sequence[Mapping[str, Any]], part: Part) -> COCO:
    """Index results as pycocotools does where they have that part alone.

    So the size of an object is that of its mask, or of the extent of its keypoints, and not that
    of its box.
    """
    field = _SCORED_BY[part]
    kept = [
        {**{key: result[key] for key in ("image_id", "category_id", "score")}, field: result[field]}
        for result in results
    ]
    # It takes no empty list, and its loader knows from the first result what they are.
    return expected.loadRes(kept) if kept else _index({**expected.dataset, "annotations": []})


def _index(document: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = document
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
