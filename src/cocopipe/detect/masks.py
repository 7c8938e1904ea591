"""Segmentations of the annotation table as pixels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pycocotools import mask as coco_mask

LEAST = 6
"""Numbers in a polygon of three corners; pycocotools takes no shorter one."""


def has_mask(segments: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Tell which rows describe an area by their ``polygons`` or ``rle``, bool [M]."""
    rings = segments.field("polygons")
    drawn = pc.greater_equal(pc.list_value_length(rings.flatten()), LEAST)
    found: npt.NDArray[np.bool_] = pc.is_valid(segments.field("rle")).to_numpy(zero_copy_only=False)
    found = found.copy()
    found[pc.list_parent_indices(rings).filter(drawn).to_numpy()] = True
    return found


def decode_mask(
    segment: Mapping[str, Any], *, height: int, width: int
) -> npt.NDArray[np.uint8] | None:
    """Draw a segmentation, uint8 [height, width] of 0 and 1; None if it is of another size."""
    rings = [ring for ring in segment["polygons"] or [] if len(ring) >= LEAST]
    if rings:
        rle = coco_mask.merge(coco_mask.frPyObjects(rings, height, width))
    else:
        size, counts, runs = (segment["rle"][name] for name in ("size", "counts", "runs"))
        if size != [height, width]:
            return None
        if runs is None:
            rle = {"size": size, "counts": counts.encode()}
        else:
            rle = coco_mask.frPyObjects({"size": size, "counts": runs}, height, width)
    pixels: npt.NDArray[np.uint8] = coco_mask.decode(rle)
    return pixels
