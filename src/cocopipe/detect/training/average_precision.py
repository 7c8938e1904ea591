"""COCO's average precision in a moment, as often as a training asks.

By hotcoco, which comes to the numbers of pycocotools, an evaluation's, bit by bit, and some eighty
times as fast.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import hotcoco
import numpy as np
import numpy.typing as npt

from cocopipe.detect.prediction.truth import found, truth

AP, AP50 = "AP", "AP50"
"""Over IoU 0.50 to 0.95, and at 0.50; names as an evaluation has them."""


class AveragePrecision:
    """Scores what is found, time and again, by the same ground truth."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Take a COCO document, as `truth` does."""
        self._truth = truth(document)
        self._numbers = _Numbers(self._truth)
        self._coco = self._numbers.coco(self._truth)

    @property
    def is_defined(self) -> bool:
        """Whether there is anything to be found."""
        return bool(self.of([]))

    def of(self, results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return `AP` and `AP50` of COCO results; empty where they are not defined."""
        # Of every size, with the most predictions an image.
        precision = self.precision(results)[..., 0, -1]
        # What has no objects is left out, as pycocotools does.
        known = {AP: precision[precision > -1], AP50: precision[0][precision[0] > -1]}
        return {name: float(values.mean()) for name, values in known.items() if len(values)}

    def precision(self, results: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return pycocotools' array of precisions.

        Returns:
            IoU thresholds, recalls, categories, sizes, predictions an image, [10, 101, K, 4, 3]; -1
            where there is nothing to be found.
        """
        given = self._numbers.coco(found(self._truth, results))
        evaluation = hotcoco.COCOeval(self._coco, given, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        assert evaluation.eval is not None  # noqa: S101 - it was accumulated
        return np.asarray(evaluation.eval["precision"], np.float64)


class _Numbers:
    """Ids of images and categories as hotcoco takes them, from 0 in the order of the ids.

    It refuses negative ones, sizes that are no whole numbers and names that are no text, none of
    which changes a score. Annotations of what is not listed count for nothing.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._images = _numbered(document["images"])
        self._categories = _numbered(document["categories"])

    def coco(self, document: Mapping[str, Any]) -> hotcoco.COCO:
        annotations = [
            {
                **annotation,
                "image_id": self._images[annotation["image_id"]],
                "category_id": self._categories[annotation["category_id"]],
            }
            for annotation in document["annotations"]
            if annotation["image_id"] in self._images
            and annotation["category_id"] in self._categories
        ]
        return hotcoco.COCO(
            {
                "images": [{"id": number} for number in self._images.values()],
                "categories": [
                    {"id": number, "name": str(number)} for number in self._categories.values()
                ],
                "annotations": annotations,
            }
        )


def _numbered(rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    return {each: number for number, each in enumerate(sorted({row["id"] for row in rows}))}
