"""Boxes that are not quite boxes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

TOLERANCE = 1.0
"""Pixels that a box may reach over the image's border: annotation tools round."""


@dataclass(frozen=True)
class OddBoxes:
    """How many boxes cannot be taken as they are; each counts once, as the first that fits."""

    not_finite: int = 0
    """NaN or infinite numbers."""
    degenerate: int = 0
    """Without area: a width or height of zero or less."""
    outside: int = 0
    """Reaching more than ``TOLERANCE`` over the image's border."""

    def __add__(self, other: "OddBoxes") -> "OddBoxes":
        return OddBoxes(
            self.not_finite + other.not_finite,
            self.degenerate + other.degenerate,
            self.outside + other.outside,
        )


def boxes_of(column: Any) -> npt.NDArray[np.float64]:
    """Boxes as annotated, xywh in pixels, [N, 4]; NaN where there is none.

    Args:
        column: ``bbox`` of N objects, a ``pa.ListArray`` of four numbers or null each.
    """
    boxes = np.full((len(column), 4), np.nan)
    is_given = column.is_valid().to_numpy(zero_copy_only=False)
    boxes[is_given] = column.drop_null().flatten().to_numpy().reshape(-1, 4)
    return boxes


def odd_boxes(xywh: npt.ArrayLike, image_sizes: npt.ArrayLike) -> npt.NDArray[Any]:
    """Tell the odd boxes from the others.

    Args:
        xywh: float [N, 4], in pixels.
        image_sizes: width and height of each box's image, [N, 2], in pixels.

    Returns:
        uint8 [N]: 0 fine, 1 not finite, 2 degenerate, 3 outside.
    """
    boxes = np.asarray(xywh, np.float64).reshape(-1, 4)
    sizes = np.asarray(image_sizes, np.float64).reshape(-1, 2)
    low, extent = boxes[:, :2], boxes[:, 2:]
    with np.errstate(invalid="ignore", over="ignore"):
        over = (low < -TOLERANCE) | (low + extent > sizes + TOLERANCE)
        kinds = [~np.isfinite(boxes).all(1), (extent <= 0).any(1), over.any(1)]
    return np.select(kinds, [1, 2, 3], 0).astype(np.uint8)


def count_odd(kinds: npt.NDArray[Any]) -> OddBoxes:
    """Count what :func:`odd_boxes` told."""
    return OddBoxes(*(int((kinds == kind).sum()) for kind in (1, 2, 3)))
