"""The image store: original image files as rows of Parquet shards.

One row per image in image-id order, the file's bytes untouched, in shards whose
borders depend on the image ids alone: adding or removing an image changes one
or two shards, and DVC stores and moves only those.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cocopipe.split.lookup import look_up
from cocopipe.split.shards import ROW_GROUP, lacking, shard_paths


def _ids(paths: Sequence[Path]) -> npt.NDArray[np.int64]:
    parts = [np.empty(0, np.int64)]
    for path in paths:
        with pq.ParquetFile(path, memory_map=True) as file:
            parts.append(file.read(columns=["image_id"], use_threads=False)["image_id"].to_numpy())
    return np.concatenate(parts)


@dataclass(frozen=True)
class StoredImage:
    """One row of the store."""

    image_id: int
    file_name: str
    width: int
    height: int
    data: bytes
    """The bytes of the image file."""


class ImageStore:
    r"""The images of a converted split.

    Opening reads ids at most, not images. Can be pickled and forked: files are
    opened per read.

        >>> store = ImageStore(Path("data/val"))  # doctest: +SKIP
        >>> store.read(139)[:2]  # doctest: +SKIP
        b'\xff\xd8'
    """

    def __init__(
        self,
        split_dir: Path,
        image_ids: npt.NDArray[np.int64] | None = None,
        *,
        without: Collection[str] = (),
    ) -> None:
        """Find the shards.

        Args:
            split_dir: a folder that the convert stage wrote.
            image_ids: of all its images, sorted, where they are known: no shard is opened then.
            without: file names of shards to leave out, which need not be there, nor the folder.
        """
        is_empty = without and not (split_dir / "images").is_dir()
        every = [] if is_empty else shard_paths(split_dir)
        self.paths = [path for path in every if path.name not in without]
        """The shards, in image-id order."""
        self.image_ids = _ids(self.paths) if image_ids is None else image_ids
        """The ids of all images, sorted, int64 [N]."""
        firsts = [int(path.stem) for path in self.paths]
        self._borders = np.searchsorted(self.image_ids, np.array(firsts, np.int64)).tolist()
        self._borders.append(len(self.image_ids))
        if self._borders[0]:
            raise lacking(split_dir / "images")
        groups = -(-np.diff(self._borders) // ROW_GROUP)
        self._groups_before = np.cumsum([0, *groups])
        self._recent: tuple[int, pa.BinaryArray] | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": None}

    def has(self, image_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these images it holds, [N]."""
        _, is_here = look_up(image_ids, self.image_ids)
        return is_here

    def places(
        self, image_ids: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Where images lie: their row groups, counted through all shards, and places in those.

        Raises:
            KeyError: the store lacks one of them.
        """
        index, known = look_up(image_ids, self.image_ids)
        if not known.all():
            raise KeyError(int(image_ids[~known][0]))
        borders = np.array(self._borders, np.int64)
        shard = np.searchsorted(borders, index, side="right") - 1
        group, row = np.divmod(index - borders[shard], ROW_GROUP)
        return self._groups_before[shard] + group, row

    def read(self, image_id: int) -> bytes:
        """The image file of ``image_id``, byte for byte.

        Raises:
            KeyError: the store has no such image.
        """
        (group,), (row,) = self.places(np.array([image_id], np.int64))
        return bytes(self.read_at(int(group), int(row)))

    def read_at(self, group: int, row: int) -> pa.Buffer:
        """The image file at a place, not copied."""
        # Neighbours are mostly read one after the other.
        if self._recent is None or self._recent[0] != group:
            self._recent = None  # never two of them in memory
            self._recent = group, self.read_group(group)
        return self._recent[1][row].as_buffer()

    def read_group(self, group: int) -> pa.BinaryArray:
        """The image files of a row group, counted through all shards.

        Raises:
            UserError: the shard does not hold the images that it should.
        """
        shard = int(np.searchsorted(self._groups_before, group, side="right")) - 1
        number = group - int(self._groups_before[shard])
        first = self._borders[shard] + number * ROW_GROUP
        expected = self.image_ids[first : min(first + ROW_GROUP, self._borders[shard + 1])]
        path = self.paths[shard]
        with pq.ParquetFile(path, memory_map=True) as file:
            if number < file.num_row_groups:
                rows = file.read_row_group(
                    number, columns=["image_id", "image.bytes"], use_threads=False
                ).combine_chunks()
                if np.array_equal(rows["image_id"].to_numpy(), expected):
                    return rows["image"].chunk(0).field(0)
        raise lacking(path)

    def __iter__(self) -> Iterator[StoredImage]:
        """All images in id order, one row group in memory at a time."""
        for path in self.paths:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=ROW_GROUP):
                    for row in batch.to_pylist():
                        yield StoredImage(
                            row["image_id"],
                            row["file_name"],
                            row["width"],
                            row["height"],
                            row["image"]["bytes"],
                        )
