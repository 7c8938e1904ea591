"""How sure it is that one detector is better than another: their scores on resampled images.

hotcoco draws the images with replacement, the same for both, and scores both, time and again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco

from cocopipe.detect.prediction.truth import truth
from cocopipe.errors import UserError

SAMPLES = 1000
"""Resamples: enough to tell 0.95 from 0.97."""

SEED = 0

OF_A_CATEGORY = "AP_"

_KEYS = {
    "AP_small": "APs",
    "AP_medium": "APm",
    "AP_large": "APl",
    "AR_small": "ARs",
    "AR_medium": "ARm",
    "AR_large": "ARl",
}
"""An evaluation's name of a metric -> hotcoco's, where that is another."""


@dataclass(frozen=True)
class Comparison:
    """Two detectors on the same images.

    Attributes:
        before: The metric of the one; None where there is nothing to be found.
        after: That of the other.
        share: The share of resamples in which the other is better, 0 to 1.
    """

    before: float | None
    after: float | None
    share: float


def compare(
    document: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    after: Sequence[Mapping[str, Any]],
    metric: str,
) -> Comparison:
    """Compare two detectors by what they found.

    Args:
        document: The ground truth, a COCO document, taken as `truth` says.
        before: COCO results of the one, of boxes.
        after: Those of the other.
        metric: One of COCO's twelve, or ``AP_`` and the name of a category.

    Raises:
        UserError: The metric is another.
    """
    expected = truth(document)
    scorer = _Scorer(expected)
    one, other = scorer.of(before, metric), scorer.of(after, metric)
    key = _KEYS.get(metric, metric)
    found = hotcoco.compare(one, other, n_bootstrap=SAMPLES, seed=SEED)
    key = key if key in found["metrics_a"] else "AP"
    return Comparison(
        _known(found["metrics_a"][key]),
        _known(found["metrics_b"][key]),
        float(found["ci"][key]["prob_positive"]),
    )


class _Scorer:
    """Scores results against one ground truth, under numbers that hotcoco takes.

    Those are counted from 0 in the order of the ids, of which it refuses such below 0; names and
    sizes, of which it refuses some too, change no score.
    """

    def __init__(self, expected: Mapping[str, Any]) -> None:
        self._images = _numbered(expected["images"])
        self._categories = _numbered(expected["categories"])
        self._ids_by_name: dict[str, int] = {}
        for category in expected["categories"]:
            self._ids_by_name.setdefault(str(category["name"]), category["id"])
        self._coco = hotcoco.COCO(
            {
                "images": [{"id": number} for number in self._images.values()],
                "categories": [
                    {"id": number, "name": str(number)} for number in self._categories.values()
                ],
                "annotations": self._renumbered(expected["annotations"]),
            }
        )

    def of(self, results: Sequence[Mapping[str, Any]], metric: str) -> hotcoco.COCOeval:
        """Evaluate COCO results; where the metric is of one category, on that one alone."""
        evaluation = hotcoco.COCOeval(
            self._coco, self._coco.load_res(self._renumbered(results)), "bbox"
        )
        if metric not in _KEYS and metric not in evaluation.metric_keys():
            evaluation.params.cat_ids = [self._number_of(metric)]
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation

    def _number_of(self, metric: str) -> int:
        name = metric.removeprefix(OF_A_CATEGORY)
        if not metric.startswith(OF_A_CATEGORY) or name not in self._ids_by_name:
            raise UserError(
                f"{metric} can't be resampled, only COCO's metrics of boxes and the AP of a"
                " category can: set register.promote_metric to one of them, or"
                " register.promote_confidence to nothing"
            )
        return self._categories[self._ids_by_name[name]]

    def _renumbered(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Those of images and categories that the document lists; others count for nothing."""
        return [
            {
                **row,
                "image_id": self._images[row["image_id"]],
                "category_id": self._categories[row["category_id"]],
            }
            for row in rows
            if row["image_id"] in self._images and row["category_id"] in self._categories
        ]


def _numbered(rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    return {each: number for number, each in enumerate(sorted({row["id"] for row in rows}))}


def _known(value: float) -> float | None:
    """Turn -1, "there was nothing to be found", into None."""
    return None if value == -1 else float(value)
