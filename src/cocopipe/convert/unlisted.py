"""Image files that no document lists, and that are therefore not taken."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco.layout import RawSplit
from cocopipe.coco.places import inside
from cocopipe.convert.notes import FIRST, Note, listed


def unlisted(
    splits: Sequence[RawSplit],
    rows: Sequence[npt.NDArray[np.int64]],
    others: Sequence[str] = (),
) -> Note | None:
    """A note of the image files in the folders of splits that none of them lists, if any.

    Args:
        splits: whose folders may be the same, or one in the other.
        rows: of each split, those of the files that it lists.
        others: folders of splits that are not taken.
    """
    paths = [
        pc.binary_join_element_wise(inside(each.folder), each.images.names, "") for each in splits
    ]
    listed_paths = [its.take(pa.array(row)) for its, row in zip(paths, rows, strict=True)]
    every = pc.unique(pa.chunked_array(paths, pa.string()))
    is_listed = pc.is_in(
        every, value_set=pa.chunked_array(listed_paths, pa.string()).combine_chunks()
    )
    left = every.filter(pc.invert(is_listed))
    for folder in others:
        left = left.filter(pc.invert(pc.starts_with(left, inside(folder))))
    if not len(left):
        return None
    first = listed(left.slice(0, FIRST).to_pylist(), len(left))
    return Note("image files that no document lists, not taken", len(left), first)
