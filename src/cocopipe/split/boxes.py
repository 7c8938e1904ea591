"""Which boxes count, and which are not quite boxes."""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 1.0
"""Pixels that a box may reach over the image's border: annotation tools round."""


@dataclass(frozen=True)
class OddBoxes:
    """How many boxes cannot be taken as they are; each counts once, as the first that fits."""

    not_finite: int = 0
    """Boxes with NaN or infinite numbers."""
    degenerate: int = 0
    """Boxes without area: with a width or height of zero or less."""
    outside: int = 0
    """Boxes that reach more than ``TOLERANCE`` over the image's border."""

    def __add__(self, other: "OddBoxes") -> "OddBoxes":
        return OddBoxes(
            self.not_finite + other.not_finite,
            self.degenerate + other.degenerate,
            self.outside + other.outside,
        )


class Oddity(IntEnum):
    """Why a box cannot be taken as it is; the first that fits."""

    NONE = 0
    NOT_FINITE = 1
    DEGENERATE = 2
    OUTSIDE = 3


def is_box(value: Any) -> bool:
    """Whether a COCO ``bbox`` is four finite numbers."""
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(side, int | float) and math.isfinite(side) for side in value)
    )


def are_usable(
    xywh: npt.NDArray[np.floating[Any]], *, smallest: float = 0.0
) -> npt.NDArray[np.bool_]:
    """Tell the boxes that count: of four finite numbers, and with an area.

    Args:
        xywh: float [N, 4], in pixels; NaN where there is none.
        smallest: width and height that are needed at least, in pixels.

    Returns:
        bool [N].
    """
    extent = xywh[:, 2:]
    is_large = (extent > 0) & (extent >= smallest)
    return np.asarray(np.isfinite(xywh).all(axis=1) & is_large.all(axis=1))


def odd_boxes(xywh: npt.ArrayLike, image_sizes: npt.ArrayLike) -> npt.NDArray[Any]:
    """Tell the odd boxes from the others.

    Args:
        xywh: float [N, 4], in pixels.
        image_sizes: width and height of each box's image, [N, 2], in pixels.

    Returns:
        An `Oddity` each, uint8 [N].
    """
    boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
    sizes = np.asarray(image_sizes, np.float64).reshape(-1, 2)
    low, extent = boxes[:, :2], boxes[:, 2:]
    with np.errstate(invalid="ignore", over="ignore"):
        over = (low < -TOLERANCE) | (low + extent > sizes + TOLERANCE)
        found = {
            Oddity.NOT_FINITE: ~np.isfinite(boxes).all(1),
            Oddity.DEGENERATE: (extent <= 0).any(1),
            Oddity.OUTSIDE: over.any(1),
        }
    return np.select(list(found.values()), list(found), Oddity.NONE).astype(np.uint8)


def count_odd(oddities: npt.NDArray[Any]) -> OddBoxes:
    """Count what :func:`odd_boxes` told."""
    not_finite, degenerate, outside = (
        int((oddities == each).sum()) for each in Oddity if each != Oddity.NONE
    )
    return OddBoxes(not_finite, degenerate, outside)
