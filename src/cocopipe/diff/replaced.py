"""Which images of two versions of a split have other file bytes."""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cocopipe.diff.matching import Ints
from cocopipe.errors import UserError
from cocopipe.split.images import ImageStore


def replaced(
    before: Path,
    after: Path,
    before_ids: Ints,
    after_ids: Ints,
    *,
    same_shards: Collection[str] = (),
) -> npt.NDArray[np.bool_]:
    """Compare image files byte for byte, a row group of each version in memory at a time.

    Args:
        before: a converted split, or what it has of ``images/*.parquet`` but for equal shards.
        after: another version of it, likewise.
        before_ids: of the images to compare, int64 [P].
        after_ids: the ids of the same images in ``after``, [P].
        same_shards: file names of shards that are known to be equal; they need not be there.

    Returns:
        Whether the files differ, [P].

    Raises:
        UserError: a shard that is needed is not there.
    """
    one, other = (ImageStore(each, without=same_shards) for each in (before, after))
    is_here, is_there = one.has(before_ids), other.has(after_ids)
    # What neither version has outside of equal shards is in one of those.
    is_compared = is_here | is_there | (not same_shards)
    _require_all(before, before_ids[is_compared & ~is_here])
    _require_all(after, after_ids[is_compared & ~is_there])
    differ = np.zeros(len(before_ids), np.bool_)
    compared = np.flatnonzero(is_compared)
    places = np.stack([*one.places(before_ids[compared]), *other.places(after_ids[compared])])
    # In the order of the one version, which mostly is the other's as well.
    for each in np.lexsort(places[1::-1]).tolist():
        group, row, other_group, other_row = places[:, each].tolist()
        file = one.read_at(group, row)
        differ[compared[each]] = not file.equals(other.read_at(other_group, other_row))
    return differ


def _require_all(split_dir: Path, missing: Ints) -> None:
    if len(missing):
        raise UserError(
            f"{split_dir} lists image {missing[0]}, which no shard in its images folder holds:"
            " fetch all of the split, or convert it again"
        )
