"""Writing image stores: image files into shards, each examined on its way."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.coco.file_columns import Files
from cocopipe.coco.zips import Entry
from cocopipe.errors import UserError
from cocopipe.pictures.examine import UnreadableImageError, examine
from cocopipe.split.shards import (
    ROW_GROUP,
    SCHEMA,
    image_writer,
    images_per_shard,
    shard_name,
    shards,
)


@dataclass(frozen=True, slots=True)
class FoundImage:
    """An image on its way into the store."""

    image_id: int
    file_name: str
    size: tuple[int, int] | None
    """Annotated (width, height) in pixels; None where the document doesn't say."""
    entry: Entry


@dataclass(frozen=True)
class FoundImages(Sequence[FoundImage]):
    """Images on their way into the store, in image-id order; each is made when it is asked for.

    Attributes:
        image_ids: Rising, int64 [N].
        file_names: ``pa.StringArray`` [N].
        sizes: Annotated width and height in pixels, 0 where the document doesn't say, int32 [N, 2].
        files: The files among which theirs are.
        rows: The rows that their files have in those, [N].
    """

    image_ids: npt.NDArray[np.int64]
    file_names: pa.StringArray
    sizes: npt.NDArray[np.int32]
    files: Files
    rows: npt.NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        """The size of all their files together."""
        return int(self.files.size_bytes[self.rows].sum())

    def only(self, chosen: npt.NDArray[np.bool_]) -> "FoundImages":
        """The images where ``chosen`` [N] is true."""
        return self._taken(np.flatnonzero(chosen))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> FoundImage: ...
    @overload
    def __getitem__(self, place: slice) -> "FoundImages": ...
    def __getitem__(self, place: int | slice) -> "FoundImage | FoundImages":
        if isinstance(place, slice):
            return self._taken(np.arange(len(self))[place])
        width, height = self.sizes[place].tolist()
        return FoundImage(
            int(self.image_ids[place]),
            self.file_names[place].as_py(),
            (width, height) if width else None,
            self.files.at(int(self.rows[place])),
        )

    def _taken(self, places: npt.NDArray[np.int64]) -> "FoundImages":
        names = self.file_names.take(pa.array(places))
        return replace(
            self,
            image_ids=self.image_ids[places],
            file_names=names,
            sizes=self.sizes[places],
            rows=self.rows[places],
        )


@dataclass(frozen=True)
class Stored:
    """What went into a store."""

    images: int = 0
    size_bytes: int = 0
    """The size of all image files together."""
    shards: int = 0
    mismatched: tuple[str, ...] = ()
    """Files whose annotated size isn't their own, with both."""
    turned: tuple[str, ...] = ()
    """Files whose EXIF asks to turn them, which nothing here does: boxes are of stored pixels."""

    def __add__(self, other: "Stored") -> "Stored":
        return Stored(
            self.images + other.images,
            self.size_bytes + other.size_bytes,
            self.shards + other.shards,
            self.mismatched + other.mismatched,
            self.turned + other.turned,
        )

    def counts(self) -> dict[str, int]:
        """Everything that was counted, and how many files the lists have."""
        return {
            "images": self.images,
            "size_bytes": self.size_bytes,
            "shards": self.shards,
            "size_mismatches": len(self.mismatched),
            "turned_by_exif": len(self.turned),
        }


@contextmanager
def writing(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads to write shards with, one at least; what waits is dropped when the block fails."""
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def start_store(
    pool: ThreadPoolExecutor,
    split_dir: Path,
    images: FoundImages,
    *,
    where: str,
    decode: bool = False,
) -> list[Future[Stored]]:
    """Begin to write ``split_dir/images``; see `finish_store`.

    The bytes are the same whatever the number of threads is, each of which writes one shard at a
    time and holds one row group.

    Args:
        pool: from `writing`.
        split_dir: an existing folder without ``images``.
        images: in image-id order.
        where: what messages call the images' split.
        decode: whether to decode every image, to be sure that it is whole.
    """
    folder = split_dir / "images"
    folder.mkdir()
    if not images:
        return []
    average = images_per_shard(images.size_bytes / len(images))
    cuts = shards(images.image_ids.tolist(), average)
    return [pool.submit(_write_shard, folder, images[cut], where, decode) for cut in cuts]


def finish_store(jobs: Iterable[Future[Stored]], advance: Callable[[int], object]) -> Stored:
    """Wait until a store is written.

    Raises:
        UserError: an image is damaged; the first by id of those that were seen.
    """
    total = Stored()
    for job in jobs:
        stored = job.result()
        advance(stored.images)
        total += stored
    return total


def _write_shard(folder: Path, images: FoundImages, where: str, decode: bool) -> Stored:
    stored = Stored(shards=1)
    path = folder / shard_name(int(images.image_ids[0]))
    with image_writer(path) as writer:
        for start in range(0, len(images), ROW_GROUP):
            batch, counted = _row_group(list(images[start : start + ROW_GROUP]), where, decode)
            writer.write_batch(batch)
            stored += counted
    return stored


def _row_group(
    images: Sequence[FoundImage], where: str, decode: bool
) -> tuple[pa.RecordBatch, Stored]:
    for image in images:
        image.entry.require_size()  # before there is memory for it
    ends = np.cumsum([0, *(image.entry.size_bytes for image in images)])
    if ends[-1] >= 2**31:
        raise UserError(
            f"{len(images)} images of {where} from {images[0].file_name} on hold"
            f" {ends[-1]:,} bytes together, and 2 GB is all that a row group holds: pack them"
        )
    data = _SPACE.of(int(ends[-1]))
    sizes: list[tuple[int, int]] = []
    mismatched: list[str] = []
    turned: list[str] = []
    for image, start, end in zip(images, ends[:-1], ends[1:], strict=True):
        image.entry.read_into(data[start:end])
        try:
            found = examine(data[start:end], decode=decode)
        except UnreadableImageError as error:
            raise UserError(
                f"image {image.image_id} of {where}, {image.entry.where}, is damaged "
                f"({error}): replace the file, or remove the image from the annotations"
            ) from error
        sizes.append(image.size or found.size)
        if sizes[-1] != found.size:
            (width, height), (stored_width, stored_height) = sizes[-1], found.size
            mismatched.append(
                f"{image.file_name}: annotated {width}x{height}, stored"
                f" {stored_width}x{stored_height}"
            )
        if found.is_turned:
            turned.append(image.file_name)
    names = pa.array([image.file_name for image in images], pa.string())
    offsets = pa.py_buffer(ends.astype(np.int32))
    files = pa.Array.from_buffers(pa.binary(), len(images), [None, offsets, pa.py_buffer(data)])
    columns = [
        pa.array([image.image_id for image in images], pa.int64()),
        names,
        *(pa.array(side, pa.int32()) for side in zip(*sizes, strict=True)),
        pa.StructArray.from_arrays([files, names], fields=list(SCHEMA.field("image").type)),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
    return batch, Stored(len(images), int(ends[-1]), 0, tuple(mismatched), tuple(turned))


class _Space(threading.local):
    """Memory for the files of one row group, which each thread uses again and again."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def of(self, size_bytes: int) -> memoryview:
        if len(self._memory) < size_bytes:
            self._memory = bytearray(size_bytes)
        return memoryview(self._memory)[:size_bytes]


_SPACE = _Space()
