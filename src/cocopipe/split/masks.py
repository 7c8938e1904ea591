"""Segmentations as pixels, none of which is taken on trust.

pycocotools draws polygons only: it leaves memory as it was where runs don't add up, and
crashes on corners that are far away or no numbers.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

LEAST = 6
"""Numbers in a polygon of three corners; pycocotools would take four for a box."""


def mask(segmentation: Any, *, height: int, width: int) -> npt.NDArray[np.bool_] | None:
    """The pixels of a COCO segmentation: polygons, compressed or uncompressed RLE.

    Returns:
        bool [height, width]; None where there are no pixels or they can't be
        told: no polygon, an RLE of another size or that doesn't add up.
    """
    from pycocotools import mask as coco

    if isinstance(segmentation, list):
        found = _fill(segmentation, height, width)
        return None if found is None else np.asarray(coco.decode(found), np.bool_)
    if isinstance(segmentation, dict) and segmentation.get("size") == [height, width]:
        return _unroll(segmentation.get("counts"), height, width)
    return None


def encoded(segmentation: Any, *, height: int, width: int) -> dict[str, Any] | None:
    """The same pixels as compressed RLE, as COCO results have it; None where :func:`mask` is."""
    if isinstance(segmentation, list):
        found = _fill(segmentation, height, width)
        return None if found is None else _as_text(found)
    pixels = mask(segmentation, height=height, width=width)
    return None if pixels is None else rle(pixels)


def rle(pixels: npt.NDArray[Any]) -> dict[str, Any]:
    """A mask, bool or uint8 [height, width], as compressed RLE with its counts as text."""
    from pycocotools import mask as coco

    return _as_text(coco.encode(np.asfortranarray(pixels, np.uint8)))


def _as_text(found: Any) -> dict[str, Any]:
    return {"size": [*found["size"]], "counts": found["counts"].decode("ascii")}


def has_mask(rows: pa.StructArray) -> npt.NDArray[np.bool_]:
    """Tell which rows describe an area by their ``polygons`` or ``rle``, bool [M].

    Looks at no number; whether they make sense is known when :func:`mask` draws them.
    """
    rings = rows.field("polygons")
    drawn = pc.greater_equal(pc.list_value_length(rings.flatten()), LEAST)
    found: npt.NDArray[np.bool_] = pc.is_valid(rows.field("rle")).to_numpy(zero_copy_only=False)
    found = found.copy()
    found[pc.list_parent_indices(rings).filter(drawn).to_numpy()] = True
    return found


def _fill(polygons: list[Any], height: int, width: int) -> Any:
    """Fill polygons, as pycocotools' RLE; None where there is none."""
    from pycocotools import mask as coco

    # pycocotools walks along every edge, however far outside it leads.
    far = 2 * max(height, width)
    rings = [np.clip(ring, -far, far).tolist() for ring in polygons if _is_ring(ring)]
    if not rings:
        return None
    return coco.merge(coco.frPyObjects(rings, height, width))


def _is_ring(value: Any) -> bool:
    """Whether this is a polygon: three corners or more, which are finite numbers."""
    return (
        isinstance(value, list)
        and len(value) >= LEAST
        and len(value) % 2 == 0
        and set(map(type, value)) <= {int, float}
        and all(map(math.isfinite, value))
    )


def _unroll(counts: Any, height: int, width: int) -> npt.NDArray[np.bool_] | None:
    """Lay out runs of pixels, outside and inside in turn, column by column."""
    runs = _decompress(counts) if isinstance(counts, str) else counts
    if not isinstance(runs, list) or not set(map(type, runs)) <= {int}:
        return None
    if sum(runs) != height * width or min(runs, default=0) < 0:
        return None
    inside = np.arange(len(runs)) % 2 == 1
    return np.repeat(inside, runs).reshape(width, height).T


def _decompress(counts: str) -> list[int] | None:
    """Read runs as COCO packs them (``rleFrString`` of its maskApi.c).

    A character has five bits of a number, the low ones first, and one that tells whether
    more follow. From the fourth on, a number is the difference to the last but one.
    """
    runs: list[int] = []
    number = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:  # seven characters hold any run
            return None
        number |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            negative = bits & 16
            before = runs[-2] if len(runs) > 2 else 0
            runs.append(before + number - (1 << shift if negative else 0))
            number = shift = 0
    return None if shift else runs
