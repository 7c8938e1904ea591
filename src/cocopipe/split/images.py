"""The image store: original image files as rows of Parquet shards.

One row per image file, its bytes untouched, identical ones once; the tables say where each is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.split.layout import require_layout
from cocopipe.split.shards import ROW_GROUP, lacking
from cocopipe.split.tables import documents, read_table

PLACES = ("sha256", "shard", "row")
"""Columns of the tables that say where a file is."""


@dataclass(frozen=True)
class StoredImage:
    """One row of the store."""

    sha256: str
    width: int
    """Pixels, as the file has them."""
    height: int
    data: bytes
    """The bytes of the image file."""


class ImageStore:
    r"""The image files of a converted split.

    Opening reads tables, not images. Can be pickled and forked: files are opened per read.

        >>> store = ImageStore(Path("data/val"))  # doctest: +SKIP
        >>> store.read(store.sha256[0])[:2]  # doctest: +SKIP
        b'\xff\xd8'
    """

    def __init__(self, split_dir: Path) -> None:
        """Find the files that the split's tables have places for.

        Raises:
            UserError: no converted split, or one in another layout.
        """
        self._folder = split_dir / "images"
        parts = [read_table(split_dir, name, PLACES) for name in documents(split_dir)]
        every = pa.concat_tables(parts).combine_chunks() if parts else _NOTHING
        every = every.sort_by([("shard", "ascending"), ("row", "ascending")])
        shard, row = every["shard"].combine_chunks().dictionary_encode(), every["row"].to_numpy()
        number = shard.indices.to_numpy()
        is_first = np.ones(len(every), np.bool_)
        is_first[1:] = (number[1:] != number[:-1]) | (row[1:] != row[:-1])
        self._shards: list[str] = shard.dictionary.to_pylist()
        self._shard = number[is_first]
        self._row = row[is_first]
        self._sha256 = every["sha256"].filter(pa.array(is_first)).combine_chunks()
        group = self._row // ROW_GROUP
        begins = np.ones(len(group), np.bool_)
        begins[1:] = (group[1:] != group[:-1]) | (self._shard[1:] != self._shard[:-1])
        self._starts = np.flatnonzero(begins)
        self._group = np.cumsum(begins) - 1
        self._recent: tuple[int, pa.BinaryArray] | None = None

    def __len__(self) -> int:
        return len(self._row)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": None}

    @property
    def sha256(self) -> list[str]:
        """The SHA-256 of all files, in the order of the store."""
        found: list[str] = self._sha256.to_pylist()
        return found

    @property
    def paths(self) -> list[Path]:
        """The shards, in the order of the store."""
        return [self._folder / f"{shard}.parquet" for shard in self._shards]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Width and height of all files as they have them, pixels, int64 [N, 2], in that order."""
        found = np.zeros((len(self), 2), np.int64)
        for number, path in enumerate(self.paths):
            if not path.is_file():
                raise lacking(path)
            mine = self._shard == number
            columns = pq.read_table(path, columns=["width", "height"]).take(self._row[mine])
            found[mine] = np.stack([columns["width"], columns["height"]], axis=1)
        return found

    def numbers(self, sha256: "pa.Array | pa.ChunkedArray") -> npt.NDArray[np.int64]:
        """Which of all files those are, in the order of the store.

        Raises:
            KeyError: the store lacks one of them.
        """
        found = pc.index_in(sha256, value_set=self._sha256)
        if found.null_count:
            raise KeyError(sha256.filter(found.is_null())[0].as_py())
        return np.asarray(found, np.int64)

    def places(
        self, sha256: "pa.Array | pa.ChunkedArray"
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where files lie: their row groups, counted through all shards, and places in those.

        Raises:
            KeyError: the store lacks one of them.
        """
        index = self.numbers(sha256)
        return self._group[index], self._row[index] % ROW_GROUP

    def read(self, sha256: str) -> bytes:
        """The image file with this hash, byte for byte.

        Raises:
            KeyError: the store has no such file.
        """
        (group,), (row,) = self.places(pa.array([sha256], pa.string()))
        # Neighbours are mostly read one after the other.
        if self._recent is None or self._recent[0] != group:
            self._recent = None  # never two of them in memory
            self._recent = int(group), self.read_group(int(group))
        return bytes(self._recent[1][int(row)].as_buffer())

    def read_group(self, group: int) -> pa.BinaryArray:
        """The image files of a row group, counted through all shards.

        Raises:
            UserError: the shard does not hold the images that it should.
        """
        start = int(self._starts[group])
        end = int(self._starts[group + 1]) if group + 1 < len(self._starts) else len(self)
        path = self._folder / f"{self._shards[self._shard[start]]}.parquet"
        number = int(self._row[start]) // ROW_GROUP
        if not path.is_file():
            raise lacking(path)
        with pq.ParquetFile(path, memory_map=True) as file:
            require_layout(file.schema_arrow.metadata, path)
            if number < file.num_row_groups:
                rows = file.read_row_group(
                    number, columns=["sha256", "image.bytes"], use_threads=False
                ).combine_chunks()
                if rows["sha256"].chunk(0).equals(self._sha256.slice(start, end - start)):
                    return rows["image"].chunk(0).field(0)
        raise lacking(path)

    def __iter__(self) -> Iterator[StoredImage]:
        """All files in the order of the store, one row group in memory at a time."""
        for path in self.paths:
            if not path.is_file():
                raise lacking(path)
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=ROW_GROUP):
                    for row in batch.to_pylist():
                        yield StoredImage(
                            row["sha256"], row["width"], row["height"], row["image"]["bytes"]
                        )


_NOTHING = pa.table({name: [] for name in PLACES}).cast(
    pa.schema([("sha256", pa.string()), ("shard", pa.string()), ("row", pa.int32())])
)
