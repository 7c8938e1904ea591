"""The image store: original image files as rows of Parquet shards.

One row per image in image-id order, the file's bytes untouched, in shards whose
borders depend on the image ids alone: adding or removing an image changes one
or two shards, and DVC stores and moves only those.
"""

import math
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from cocopipe.coco.lookup import look_up
from cocopipe.coco.pictures import UnreadableImageError, examine
from cocopipe.coco.raw import Entry, Files
from cocopipe.errors import UserError

SHARD_BYTES = 8 * 2**20
"""What shards hold on average, at most; at least half of it."""

CAP = 8
"""A shard never holds more than this many times the average number of images."""

ROW_GROUP = 32
"""Images in a row group, which is what a reader of one image reads."""

_SHARD_NAME = re.compile(r"(^|/)-?\d+\.parquet$")

# So that `datasets.load_dataset("parquet", …)` shows pictures (its Image feature).
_HUGGING_FACE = (
    b'{"info":{"features":{'
    b'"image_id":{"dtype":"int64","_type":"Value"},'
    b'"file_name":{"dtype":"string","_type":"Value"},'
    b'"width":{"dtype":"int32","_type":"Value"},'
    b'"height":{"dtype":"int32","_type":"Value"},'
    b'"image":{"_type":"Image"}}}}'
)

SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),  # pixels, as annotated
        pa.field("height", pa.int32(), nullable=False),
        pa.field(
            "image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
        ),
    ],
    metadata={b"huggingface": _HUGGING_FACE},
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An image on its way into the store."""

    image_id: int
    file_name: str
    size: tuple[int, int] | None
    """Annotated (width, height) in pixels; None where the document doesn't say."""
    entry: Entry


@dataclass(frozen=True)
class Pictures(Sequence[Picture]):
    """Images on their way into the store, in image-id order; each is made when it is asked for.

    Attributes:
        image_ids: Rising, int64 [N].
        file_names: ``pa.StringArray`` [N].
        sizes: Annotated width and height in pixels, 0 where the document doesn't say, int32 [N, 2].
        files: Among others, theirs.
        rows: Of their files, [N].
    """

    image_ids: npt.NDArray[np.int64]
    file_names: pa.StringArray
    sizes: npt.NDArray[np.int32]
    files: Files
    rows: npt.NDArray[np.int64]

    @property
    def size_bytes(self) -> int:
        """Of all their files."""
        return int(self.files.size_bytes[self.rows].sum())

    def only(self, chosen: npt.NDArray[np.bool_]) -> "Pictures":
        """Those where ``chosen`` [N] is true."""
        return self._taken(np.flatnonzero(chosen))

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, place: int) -> Picture: ...
    @overload
    def __getitem__(self, place: slice) -> "Pictures": ...
    def __getitem__(self, place: int | slice) -> "Picture | Pictures":
        if isinstance(place, slice):
            return self._taken(np.arange(len(self))[place])
        width, height = self.sizes[place].tolist()
        return Picture(
            int(self.image_ids[place]),
            self.file_names[place].as_py(),
            (width, height) if width else None,
            self.files.at(int(self.rows[place])),
        )

    def _taken(self, places: npt.NDArray[np.int64]) -> "Pictures":
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
    """Of the image files."""
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
        """All of it as numbers."""
        return {
            "images": self.images,
            "size_bytes": self.size_bytes,
            "shards": self.shards,
            "size_mismatches": len(self.mismatched),
            "turned_by_exif": len(self.turned),
        }


def images_per_shard(mean_bytes: float) -> int:
    """The average number of images in a shard, for images of this mean size.

    A power of two, so that the mean can drift without moving every border.
    """
    return int(2 ** max(0, math.floor(math.log2(SHARD_BYTES / max(mean_bytes, 1)))))


def shards(image_ids: Sequence[int], average: int) -> list[slice]:
    """Cut sorted image ids into shards of this average length, by content.

    An id that hashes to 0 modulo ``average`` starts a shard, and so does the
    first id; a shard reaches ``CAP`` averages hardly ever (1 in 3,000).
    """
    starts: list[int] = []
    for index, image_id in enumerate(image_ids):
        if not starts or index - starts[-1] >= CAP * average or _hash(image_id) % average == 0:
            starts.append(index)
    return [slice(*ends) for ends in zip(starts, [*starts[1:], len(image_ids)], strict=True)]


def _hash(image_id: int) -> int:
    data = image_id.to_bytes(8, "little", signed=True)
    return int.from_bytes(blake2b(data, digest_size=8, person=b"shard").digest(), "little")


def shard_name(first_image_id: int) -> str:
    """The file name of the shard that starts with this image.

    Twelve digits, as COCO names its images, so that names sort as ids do.
    """
    return f"{first_image_id:012d}.parquet"


def shards_with(names: Iterable[str], image_ids: Iterable[int]) -> set[str]:
    """Those of a store's shards, by their file names, that images lie in."""
    shards = sorted(filter(_SHARD_NAME.search, names), key=lambda name: int(Path(name).stem))
    firsts = [int(Path(name).stem) for name in shards]
    places = {bisect_right(firsts, image_id) - 1 for image_id in image_ids}
    return {shards[place] for place in places if place >= 0}


def write_store(
    split_dir: Path,
    pictures: Pictures,
    *,
    where: str,
    workers: int,
    advance: Callable[[int], object],
) -> Stored:
    """Write ``split_dir/images``; the same bytes whatever ``workers`` is.

    Args:
        split_dir: an existing folder without ``images``.
        pictures: in image-id order.
        where: what messages call the images' split.
        workers: threads, one at least; each writes one shard at a time and holds one row group.
        advance: told how many more images are written.

    Raises:
        UserError: an image is damaged; the first by id of those that were seen.
    """
    with writing(workers) as pool:
        return finish_store(start_store(pool, split_dir, pictures, where=where), advance)


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
    pictures: Pictures,
    *,
    where: str,
    decode: bool = False,
) -> list[Future[Stored]]:
    """Begin to write ``split_dir/images`` as `write_store` does; see `finish_store`.

    ``decode`` has every image decoded, to be sure that it is whole.
    """
    folder = split_dir / "images"
    folder.mkdir()
    if not pictures:
        return []
    average = images_per_shard(pictures.size_bytes / len(pictures))
    cuts = shards(pictures.image_ids.tolist(), average)
    return [pool.submit(_write_shard, folder, pictures[cut], where, decode) for cut in cuts]


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


def image_writer(path: Path, schema: pa.Schema = SCHEMA) -> pq.ParquetWriter:
    """Write a Parquet file of images as they are."""
    return pq.ParquetWriter(
        path,
        schema,
        compression="none",  # image files are compressed already
        use_dictionary=False,
        write_statistics=["image_id"],
    )


def _write_shard(folder: Path, pictures: Pictures, where: str, decode: bool) -> Stored:
    stored = Stored(shards=1)
    path = folder / shard_name(int(pictures.image_ids[0]))
    with image_writer(path) as writer:
        for start in range(0, len(pictures), ROW_GROUP):
            batch, counted = _row_group(list(pictures[start : start + ROW_GROUP]), where, decode)
            writer.write_batch(batch)
            stored += counted
    return stored


def _row_group(
    pictures: Sequence[Picture], where: str, decode: bool
) -> tuple[pa.RecordBatch, Stored]:
    for picture in pictures:
        picture.entry.require_size()  # before there is memory for it
    ends = np.cumsum([0, *(picture.entry.size_bytes for picture in pictures)])
    if ends[-1] >= 2**31:
        raise UserError(
            f"{len(pictures)} images of {where} from {pictures[0].file_name} on hold"
            f" {ends[-1]:,} bytes together, and 2 GB is all that a row group holds: pack them"
        )
    data = _SPACE.of(int(ends[-1]))
    sizes: list[tuple[int, int]] = []
    mismatched: list[str] = []
    turned: list[str] = []
    for picture, start, end in zip(pictures, ends[:-1], ends[1:], strict=True):
        picture.entry.read_into(data[start:end])
        try:
            found = examine(data[start:end], decode=decode)
        except UnreadableImageError as error:
            raise UserError(
                f"image {picture.image_id} of {where}, {picture.entry.where}, is damaged "
                f"({error}): replace the file, or remove the image from the annotations"
            ) from error
        sizes.append(picture.size or found.size)
        if sizes[-1] != found.size:
            (width, height), (stored_width, stored_height) = sizes[-1], found.size
            mismatched.append(
                f"{picture.file_name}: annotated {width}x{height}, stored"
                f" {stored_width}x{stored_height}"
            )
        if found.is_turned:
            turned.append(picture.file_name)
    names = pa.array([picture.file_name for picture in pictures], pa.string())
    offsets = pa.py_buffer(ends.astype(np.int32))
    files = pa.Array.from_buffers(pa.binary(), len(pictures), [None, offsets, pa.py_buffer(data)])
    columns = [
        pa.array([picture.image_id for picture in pictures], pa.int64()),
        names,
        *(pa.array(side, pa.int32()) for side in zip(*sizes, strict=True)),
        pa.StructArray.from_arrays([files, names], fields=list(SCHEMA.field("image").type)),
    ]
    batch = pa.RecordBatch.from_arrays(columns, schema=SCHEMA)
    return batch, Stored(len(pictures), int(ends[-1]), 0, tuple(mismatched), tuple(turned))


class _Space(threading.local):
    """Memory for the files of one row group, which each thread uses again and again."""

    def __init__(self) -> None:
        self._memory = bytearray()

    def of(self, size_bytes: int) -> memoryview:
        if len(self._memory) < size_bytes:
            self._memory = bytearray(size_bytes)
        return memoryview(self._memory)[:size_bytes]


_SPACE = _Space()


def shard_paths(split_dir: Path) -> list[Path]:
    """The shards of a split's image store, in image-id order.

    Raises:
        UserError: it has no image store.
    """
    folder = split_dir / "images"
    if not folder.is_dir():
        raise UserError(f"{split_dir} is not a converted split: run the convert stage first")
    shards = [path for path in folder.glob("*.parquet") if _SHARD_NAME.search(path.name)]
    return sorted(shards, key=lambda path: int(path.stem))


def lacking(path: Path) -> UserError:
    """Why a store, or a shard of it, can't be of this version of the split."""
    return UserError(
        f"{path} does not hold the images that the annotations list: run the convert stage again,"
        " or `dvc checkout`"
    )


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
    """The image file."""


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
        """Sorted, int64 [N]."""
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
