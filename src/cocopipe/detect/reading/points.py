"""The keypoints of objects, as annotated."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.errors import UserError, some

POINT_FIELDS = ("id", "keypoints")
"""Fields of the objects that these are made from."""


def points_of(rows: pa.StructArray, count: int, split: Path) -> npt.NDArray[np.float32]:
    """Return the keypoints of objects; those of an object that has none are all 0, not labelled.

    Args:
        rows: The structs of M objects, which have `POINT_FIELDS`.
        count: How many an object has.
        split: Where they are from.

    Returns:
        x and y in pixels of the picture, and visibility (0 not labelled, 1 hidden, 2 seen),
        float32 [M, count, 3].

    Raises:
        UserError: some have another number of them, or numbers that are not finite.
    """
    column = rows.field("keypoints")
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    numbers = np.asarray(column.drop_null().flatten().to_numpy(zero_copy_only=False), np.float32)
    odd = (lengths != 0) & (lengths != 3 * count)
    if odd.any():
        ids = rows.field("id").filter(pa.array(odd)).to_pylist()
        raise UserError(
            f"{split} has {len(ids)} annotations (ids {some([*map(str, ids)])}) that have not"
            f" {count} keypoints of x, y and visibility each, as their category names: correct them"
            " at the source"
        )
    points = np.zeros((len(rows), 3 * count), np.float32)
    points[lengths > 0] = numbers.reshape(-1, 3 * count)
    bad = ~np.isfinite(points).all(axis=1)
    if bad.any():
        ids = rows.field("id").filter(pa.array(bad)).to_pylist()
        raise UserError(
            f"{split} has {len(ids)} annotations (ids {some([*map(str, ids)])}) with keypoints that"
            " are no finite numbers: correct them at the source"
        )
    return points.reshape(-1, count, 3)
