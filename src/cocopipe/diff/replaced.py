"""Which images of two versions of a split have other file bytes."""

from bisect import bisect_right
from collections.abc import Collection
from contextlib import closing
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.errors import UserError

Ints = npt.NDArray[np.int64]


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
    with (
        closing(_Shelf(before, same_shards)) as one,
        closing(_Shelf(after, same_shards)) as other,
    ):
        places, other_places = one.find(before_ids), other.find(after_ids)
        # What neither version has outside of equal shards is in one of those.
        is_compared = (places >= 0) | (other_places >= 0) | (not same_shards)
        _require_all(before, before_ids[is_compared & (places < 0)])
        _require_all(after, after_ids[is_compared & (other_places < 0)])
        differ = np.zeros(len(places), np.bool_)
        compared = np.flatnonzero(is_compared)
        # In the order of the one version, which mostly is the other's as well.
        for pair in compared[np.argsort(places[compared])].tolist():
            file = one.read(int(places[pair]))
            differ[pair] = not file.equals(other.read(int(other_places[pair])))
    return differ


def _require_all(split_dir: Path, missing: Ints) -> None:
    if len(missing):
        raise UserError(
            f"{split_dir} lists image {missing[0]}, which no shard in its images folder holds:"
            " fetch all of the split, or convert it again"
        )


class _Shelf:
    """The images of a split's shards by their places, one row group in memory."""

    def __init__(self, split_dir: Path, same_shards: Collection[str]) -> None:
        self._groups: list[tuple[Path, int]] = []
        ids = [np.empty(0, np.int64)]
        for path in sorted((split_dir / "images").glob("*.parquet")):
            if path.name not in same_shards:
                found = _ids_by_group(path)
                self._groups += [(path, number) for number in range(len(found))]
                ids += found
        self._starts = list(accumulate(map(len, ids[1:]), initial=0))
        self._ids = np.concatenate(ids)
        self._by_id = np.argsort(self._ids)
        self._file: tuple[Path, pq.ParquetFile] | None = None
        self._files_of: tuple[int, Any] | None = None

    def find(self, image_ids: Ints) -> Ints:
        """The places of images, -1 for those that are not here."""
        ordered = self._ids[self._by_id]
        ranks = np.searchsorted(ordered, image_ids)
        is_here = ranks < len(ordered)
        is_here[is_here] = ordered[ranks[is_here]] == image_ids[is_here]
        places = np.full(len(image_ids), -1, np.int64)
        places[is_here] = self._by_id[ranks[is_here]]
        return places

    def read(self, place: int) -> Any:
        """The file at a place, as a ``pa.Buffer``."""
        number = bisect_right(self._starts, place) - 1
        if self._files_of is None or self._files_of[0] != number:
            self._files_of = None  # never two of them in memory
            self._files_of = number, self._read_group(*self._groups[number])
        return self._files_of[1][place - self._starts[number]].as_buffer()

    def _read_group(self, path: Path, number: int) -> Any:
        if self._file is None or self._file[0] != path:
            self.close()
            self._file = path, pq.ParquetFile(path, memory_map=True)
        table = self._file[1].read_row_group(number, columns=["image.bytes"])
        return pc.struct_field(table["image"], "bytes")

    def close(self) -> None:
        """Let go of the open shard."""
        if self._file is not None:
            self._file[1].close()


def _ids_by_group(path: Path) -> list[Ints]:
    """The image ids of each row group of a shard."""
    with pq.ParquetFile(path) as file:
        ids = file.read(columns=["image_id"])["image_id"].to_numpy()
        groups = (file.metadata.row_group(number) for number in range(file.num_row_groups))
        borders = accumulate((group.num_rows for group in groups), initial=0)
        return [ids[start:end] for start, end in pairwise(borders)]
