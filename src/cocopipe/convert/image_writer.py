"""Writing image stores: image files into shards, each examined and hashed on its way.

Images are written in the order of their canonical names, then of their hashes. A thread writes a
range of names, for all roles that the images are divided to: what role an image has shows when it
is read.
"""

import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.convert.cutting import CAP, average, borders, hashes, ranges
from cocopipe.convert.division import share, share_of
from cocopipe.convert.found import DIGEST, Placed
from cocopipe.convert.plan import Plan
from cocopipe.convert.settings import Role
from cocopipe.errors import UserError
from cocopipe.pictures.examine import Examined, UnreadableImageError, examine
from cocopipe.pictures.turning import turns
from cocopipe.split.shards import ROW_GROUP, SCHEMA, image_writer

MOST_BYTES = 2**31 - 1
"""What a row group holds, at most."""


@contextmanager
def writing(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads to write shards with, one at least; what waits is dropped when the block fails."""
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def start_stores(pool: ThreadPoolExecutor, plan: Plan) -> "list[Future[_Range]]":
    """Begin to write ``images`` into the folder of each role; see `finish_stores`.

    The bytes are the same whatever the number of threads is, each of which writes one shard of
    each role at a time, and holds one row group of each.
    """
    for folder in plan.folders.values() if len(plan.names) else ():
        (folder / "images").mkdir()
    names = plan.names.take(pa.array(plan.order)).to_pylist()
    cuts = ranges(names, plan.starts[max(plan.reaches, key=lambda role: plan.reaches[role])])
    return [pool.submit(_write_range, plan, plan.order[cut]) for cut in cuts]


def finish_stores(
    plan: Plan, jobs: "Sequence[Future[_Range]]", advance: Callable[[int], object]
) -> Placed:
    """Wait until stores are written.

    Returns:
        Of all images of the plan, in its order. Copies of one file are each written.

    Raises:
        UserError: an image is damaged; the first by name of those that were seen.
    """
    done: list[_Range] = []
    for job in jobs:
        done.append(job.result())
        advance(len(done[-1].numbers))
    numbers = _joined(done, "numbers", np.int64)
    before = np.cumsum([0, *(len(each.shards) for each in done)])[:-1]
    shards = np.repeat(before, [len(each.numbers) for each in done]) if done else before
    sizes, exif = _joined(done, "sizes", np.int32).reshape(-1, 2), _joined(done, "exif", np.int8)
    annotated = np.concatenate([np.empty((0, 2), np.int32), *(each.sizes for each in plan.images)])
    found = Placed(
        sha256=np.frombuffer(b"".join(each.digests for each in done), DIGEST),
        sizes=sizes,
        exif=exif,
        turns=turns(annotated[numbers], sizes, exif),
        roles=_joined(done, "role_of", np.int8),
        shards=(shards + _joined(done, "shard_of", np.int32)).astype(np.int32),
        rows=_joined(done, "rows", np.int32),
        names=plan.roles,
        shard_names=[name for each in done for name in each.shards],
    )
    in_order = np.empty(len(numbers), np.int64)
    in_order[numbers] = np.arange(len(numbers))
    return found.taken(in_order)


def _joined(done: "Sequence[_Range]", name: str, kind: type[np.signedinteger[Any]]) -> Any:
    """A column of all ranges."""
    return np.concatenate([np.empty(0, kind), *(np.array(getattr(one, name)) for one in done)])


@dataclass
class _Range:
    """What became of the images of a range, in the order in which they were written.

    In arrays: there may be millions.
    """

    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    digests: bytearray = field(default_factory=bytearray)
    sizes: "array[int]" = field(default_factory=lambda: array("i"))
    exif: "array[int]" = field(default_factory=lambda: array("b"))
    role_of: "array[int]" = field(default_factory=lambda: array("b"))
    shard_of: "array[int]" = field(default_factory=lambda: array("i"))
    rows: "array[int]" = field(default_factory=lambda: array("i"))
    shards: list[str] = field(default_factory=list)
    """The names of the shards that were begun, of all roles."""


def _write_range(plan: Plan, numbers: npt.NDArray[np.int64]) -> _Range:
    done = _Range()
    names = plan.names.take(pa.array(numbers)).to_pylist()
    with ExitStack() as stack:
        stores = [
            stack.enter_context(_Store(plan, role, names[0], number))
            for number, role in enumerate(plan.roles)
        ]
        for name, its in groupby(zip(names, numbers.tolist(), strict=True), key=itemgetter(0)):
            alike = [number for _, number in its]
            for store in stores:
                store.pass_by(name)
            if len(alike) == 1:
                _write_image(plan, stores, alike[0], done)
            else:
                _write_alike(plan, stores, alike, name, done)
    return done


def _write_alike(
    plan: Plan, stores: "Sequence[_Store]", numbers: Sequence[int], name: str, done: _Range
) -> None:
    """Write images of one canonical name, in the order of their hashes.

    Where there are many, some begin shards, by their hashes.
    """
    digests = {number: _digest(plan, number) for number in numbers}
    order = sorted(numbers, key=lambda number: (digests[number], number))
    found = hashes([digests[number] for number in order])
    starts = [borders(found, store.near) for store in stores]
    for place, number in enumerate(order):
        is_new = place > 0 and digests[number] != digests[order[place - 1]]
        for store, is_border in zip(stores, starts, strict=True):
            if is_new and (is_border[place] or store.is_full):
                store.begin(f"{name}+{digests[number].hex()[:16]}")
        _write_image(plan, stores, number, done)


def _digest(plan: Plan, number: int) -> bytes:
    digest = sha256()
    _, images, place = plan.at(number)
    for block in images.entry(place).blocks():
        digest.update(block)
    return digest.digest()


def _write_image(plan: Plan, stores: "Sequence[_Store]", number: int, done: _Range) -> None:
    split, images, place = plan.at(number)
    entry = images.entry(place)
    entry.require_size()  # before there is memory for it
    data = stores[0].space(entry.size_bytes, entry.where)
    entry.read_into(data)
    digest = sha256(data)
    try:
        found = examine(data, decode=plan.decode)
    except UnreadableImageError as error:
        raise UserError(
            f"image {images.image_ids[place]} of {split}, {entry.where}, is damaged "
            f"({error}): replace the file, or remove the image from the annotations"
        ) from error
    group = plan.groups[number]
    its_share = share(digest.digest()) if group is None else share_of(group)
    role = plan.roles.index(plan.division.role(its_share))
    row = stores[role].add(data, entry.where, digest.hexdigest(), found, done.shards)
    done.numbers.append(number)
    done.digests += digest.digest()
    done.sizes.extend(found.size)
    done.exif.append(found.turn)
    done.role_of.append(role)
    done.shard_of.append(stores[role].shard)
    done.rows.append(row)


class _Store:
    """The shards of one role in a range of names, one after the other."""

    def __init__(self, plan: Plan, role: Role, first: str, number: int) -> None:
        self._folder = plan.folders[role] / "images"
        self.near = plan.reaches[role]
        self._starts = plan.starts[role]
        self._most = CAP * average(self.near)
        self._held = _HELD.of(number)
        self._next: str | None = first
        """The name of the shard that the next image begins."""
        self._stack = ExitStack()
        self._rows = 0
        self.shard = -1
        """The number of the shard that is written, among those of the range."""

    def __enter__(self) -> Self:
        self._held.clear()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._end()
        self._stack.close()

    @property
    def is_full(self) -> bool:
        """Whether the shard that is written has as many images as one has at most."""
        return self._next is None and self._rows >= self._most

    def space(self, size_bytes: int, where: str) -> memoryview:
        """Room for a file, of this role or another."""
        return self._held.space(size_bytes, where)

    def pass_by(self, name: str) -> None:
        """See whether a shard begins with this name, whatever role its images have."""
        if name in self._starts or self.is_full:
            self.begin(name)

    def begin(self, name: str) -> None:
        """Have the next image begin a shard of this name."""
        self._next = name

    def add(
        self, data: memoryview, where: str, digest: str, found: Examined, shards: list[str]
    ) -> int:
        """Add an image; the row that it has in its shard."""
        if self._next is not None:
            self._end()
            path = self._folder / f"{self._next}.parquet"
            self._writer = self._stack.enter_context(image_writer(path))
            self.shard = len(shards)
            shards.append(self._next)
            self._next, self._rows = None, 0
        self._held.add(data, where, digest, found)
        self._rows += 1
        if len(self._held) == ROW_GROUP:
            self._flush()
        return self._rows - 1

    def _flush(self) -> None:
        if len(self._held):
            self._writer.write_batch(self._held.batch())
            self._held.clear()

    def _end(self) -> None:
        self._flush()
        self._stack.close()


class _Held:
    """The images of a row group, in memory that is used again and again."""

    def __init__(self) -> None:
        self._memory = bytearray()
        self._given = 0
        """Where the room begins that was given last."""
        self._ends = [0]
        self._digests: list[str] = []
        self._sizes: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self._digests)

    def clear(self) -> None:
        """Forget all."""
        self._ends, self._digests, self._sizes = [0], [], []

    def space(self, size_bytes: int, where: str) -> memoryview:
        """Room for a file behind what is held.

        Raises:
            UserError: there can't be so much.
        """
        start, end = self._ends[-1], self._ends[-1] + size_bytes
        if end > MOST_BYTES:
            raise UserError(
                f"{len(self) + 1} images around {where} hold {end:,} bytes together, and 2 GB is"
                " all that a row group holds: pack them"
            )
        if end > len(self._memory):
            larger = bytearray(max(end, 2 * len(self._memory)))
            larger[:start] = memoryview(self._memory)[:start]
            self._memory = larger
        self._given = start
        return memoryview(self._memory)[start:end]

    def add(self, data: memoryview, where: str, digest: str, found: Examined) -> None:
        """Hold one more file, which lies in the room that was given last, or elsewhere."""
        if data.obj is not self._memory or self._given != self._ends[-1]:
            self.space(len(data), where)[:] = data
        self._ends.append(self._ends[-1] + len(data))
        self._digests.append(digest)
        self._sizes.append(found.size)

    def batch(self) -> pa.RecordBatch:
        """The images as rows; good until something else is held."""
        count = len(self)
        offsets = pa.py_buffer(np.array(self._ends, np.int32))
        data = pa.py_buffer(memoryview(self._memory)[: self._ends[-1]])
        files = pa.Array.from_buffers(pa.binary(), count, [None, offsets, data])
        columns = [
            pa.array(self._digests, pa.string()),
            *(pa.array(side, pa.int32()) for side in zip(*self._sizes, strict=True)),
            pa.StructArray.from_arrays(
                [files, pa.nulls(count, pa.string())], fields=list(SCHEMA.field("image").type)
            ),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


class _HeldByThread(threading.local):
    """A `_Held` for each role, in each thread."""

    def __init__(self) -> None:
        self._of: dict[int, _Held] = {}

    def of(self, role: int) -> _Held:
        return self._of.setdefault(role, _Held())


_HELD = _HeldByThread()
