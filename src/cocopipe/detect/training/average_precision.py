"""COCO's average precision in a moment, as often as a training asks.

By hotcoco, which comes to the numbers of pycocotools, an evaluation's, bit by bit, and some eighty
times as fast.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import hotcoco
import numpy as np
import numpy.typing as npt

from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.truth import sigmas, truth

AP, AP50 = "AP", "AP50"
"""Over IoU 0.50 to 0.95, and at 0.50; names as an evaluation has them."""

_FIELDS = {Part.MASK: "segmentation", Part.KEYPOINTS: "keypoints"}
"""The field of a result that tells it."""


class AveragePrecision:
    """Scores what is found, time and again, by the same ground truth."""

    def __init__(self, document: Mapping[str, Any], part: Part = Part.BOX) -> None:
        """Take a COCO document and what is scored of it, as `truth` does; masks as RLE."""
        expected = truth(document, part)
        self._part = part
        self._sigmas: list[float] | None = None
        if part is Part.KEYPOINTS and expected["annotations"]:
            points = len(expected["annotations"][0]["keypoints"]) // 3
            self._sigmas = sigmas(points).tolist()
        self._images = _numbered(expected["images"])
        self._categories = _numbered(expected["categories"])
        self._coco = hotcoco.COCO(
            {
                "images": [{"id": number} for number in self._images.values()],
                "categories": [
                    {"id": number, "name": str(number)} for number in self._categories.values()
                ],
                "annotations": [
                    {
                        **annotation,
                        "image_id": self._images[annotation["image_id"]],
                        "category_id": self._categories[annotation["category_id"]],
                    }
                    for annotation in self._listed(expected["annotations"])
                ],
            }
        )

    @property
    def is_defined(self) -> bool:
        """Whether there is anything to be found."""
        return bool(self.of([]))

    def of(self, results: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        """Return `AP` and `AP50` of COCO results; empty where they are not defined.

        Those of masks and keypoints have `Part.suffix` behind their names.
        """
        # Of every size, with the most predictions an image.
        precision = self.precision(results)[..., 0, -1]
        # What has no objects is left out, as pycocotools does.
        known = {AP: precision[precision > -1], AP50: precision[0][precision[0] > -1]}
        return {
            f"{name}{self._part.suffix}": float(values.mean())
            for name, values in known.items()
            if len(values)
        }

    def precision(self, results: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Return pycocotools' array of precisions.

        Returns:
            IoU thresholds, recalls, categories, sizes, predictions an image, [10, 101, K, 4, 3],
            of keypoints [10, 101, K, 3, 1]; -1 where there is nothing to be found.
        """
        listed = self._listed(results)
        found = self._coco.load_res(
            self._table(listed) if self._part is Part.BOX else self._told(listed)
        )
        evaluation = hotcoco.COCOeval(self._coco, found, str(self._part))
        if self._sigmas is not None:
            evaluation.params.kpt_oks_sigmas = self._sigmas
        evaluation.evaluate()
        evaluation.accumulate()
        assert evaluation.eval is not None  # noqa: S101 - it was accumulated
        return np.asarray(evaluation.eval["precision"], np.float64)

    def _listed(self, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Those of images and categories that the document lists; others count for nothing."""
        return [
            row
            for row in rows
            if row["image_id"] in self._images and row["category_id"] in self._categories
        ]

    def _told(self, results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Results with the part that is scored alone, which says how large an object is."""
        field = _FIELDS[self._part]
        return [
            {
                "image_id": self._images[row["image_id"]],
                "category_id": self._categories[row["category_id"]],
                "score": row["score"],
                field: row[field],
            }
            for row in results
        ]

    def _table(self, results: Sequence[Mapping[str, Any]]) -> npt.NDArray[np.float64]:
        """Results as hotcoco takes them soonest: image, x, y, width, height, score, category."""
        table = np.empty((len(results), 7))
        table[:, 0] = [self._images[row["image_id"]] for row in results]
        table[:, 1:5] = np.fromiter(
            chain.from_iterable(row["bbox"] for row in results), np.float64, 4 * len(results)
        ).reshape(-1, 4)
        table[:, 5] = [row["score"] for row in results]
        table[:, 6] = [self._categories[row["category_id"]] for row in results]
        return table


def _numbered(rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Numbers from 0 in the order of the ids, of which hotcoco refuses those below 0.

    Sizes that are no whole numbers and names that are no text it refuses too, so it gets none;
    they change no score.
    """
    return {each: number for number, each in enumerate(sorted({row["id"] for row in rows}))}
