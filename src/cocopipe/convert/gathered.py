"""A document's images and their objects, which need not fit into memory."""

from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.convert.columns import Annotations, DocumentColumns
from cocopipe.split import fields
from cocopipe.split.tables import LISTS

GROUP = 1024
"""Images that are taken from files at a time, with their objects."""

HELD_BYTES = 8 * 2**20
"""Objects that are held before they are laid aside, in Arrow's bytes."""

_NO_CATEGORY = -(2**63)
"""Counts among the categories of no document, most likely."""

_ASIDE = pa.schema([pa.field("row", pa.int32()), pa.field("object", fields.OBJECT)])

Ints = npt.NDArray[np.int64]


def give_back_memory() -> None:
    """Let the system have what Arrow has freed, and would keep for later."""
    pa.default_memory_pool().release_unused()


class Gathered:
    """The images of a document, and by them its objects, some of which it may not have.

    Images lie in a file. Memory does not grow with the number of objects, but for their rows and
    categories: past ``HELD_BYTES`` of them they lie in files until they are taken from there.
    """

    def __init__(
        self, document: DocumentColumns, images: pa.Table, image_ids: Ints, aside: Path
    ) -> None:
        """Hold no objects yet.

        Args:
            document: found sound.
            images: all that it lists, in its order.
            image_ids: of the images that count, which the document may not all list.
            aside: what the paths of files begin with that hold what memory should not.
        """
        in_document, is_listed = _find(image_ids, document.coco.image_ids)
        self.document = document
        self.chosen: Ints = np.flatnonzero(is_listed)
        """Which of the images that count the document lists, [N]."""
        self.image_ids: Ints = image_ids[is_listed]
        self._images = _Images(
            aside.with_name(f"{aside.name}.images"), images, in_document[is_listed]
        )
        self._path = aside
        self._rows: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._categories: list[npt.NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._numbers: dict[int, int] = {}
        """The ids of categories -> what ``_categories`` has for them, from 0."""
        self._held: list[pa.Table] = []
        self._aside: list[_Aside] = []

    @property
    def name(self) -> str:
        """The document's name, such as ``instances``."""
        return self.document.name

    def object_ids(self) -> Ints:
        """The ids of all objects that were taken, in no order; read anew each time."""
        tables = chain(self._held, chain.from_iterable(each.all() for each in self._aside))
        ids = (np.asarray(pc.struct_field(each["object"], "id"), np.int64) for each in tables)
        return np.concatenate([np.empty(0, np.int64), *ids])

    def counts(self, chosen: npt.NDArray[np.bool_]) -> tuple[int, dict[int, int]]:
        """How many objects the images have where ``chosen`` [N] is true; and by category."""
        its = chosen[np.concatenate(self._rows)]
        counts = np.bincount(np.concatenate(self._categories)[its], minlength=len(self._numbers))
        return int(its.sum()), dict(zip(self._numbers, counts.tolist(), strict=True))

    def read(self) -> None:
        """Take all objects of the document.

        Raises:
            UserError: as `DocumentColumns.annotations`.
        """
        for objects in self.document.annotations():
            self.add(objects)

    def add(self, objects: Annotations) -> None:
        """Take those objects that are of these images, which follow each other as added."""
        row, known = _find(objects.image_ids, self.image_ids)
        taken = objects.only(known)
        if not len(taken):
            return
        rows = row[known].astype(np.int32)
        self._held.append(pa.Table.from_arrays([pa.array(rows), taken.rows], schema=_ASIDE))
        self._rows.append(rows)
        categories = taken.rows.field("category_id").fill_null(_NO_CATEGORY)
        ids, places = np.unique(np.asarray(categories, np.int64), return_inverse=True)
        numbers = [self._numbers.setdefault(each, len(self._numbers)) for each in ids.tolist()]
        self._categories.append(np.array(numbers, np.int32)[places])
        if sum(held.nbytes for held in self._held) > HELD_BYTES:
            self._lay_aside()

    def groups(self) -> Iterator[tuple[slice, pa.Table, pa.ListArray]]:
        """Take all out again: which of the images, their rows, and the objects of each."""
        if self._aside and self._held:
            self._lay_aside()
        held = _by_row(pa.concat_tables([_ASIDE.empty_table(), *self._held]))
        for number, images in enumerate(self._images):
            aside = [each.group(number) for each in self._aside]
            objects = _by_row(pa.concat_tables(aside)) if aside else held
            these = slice(number * GROUP, number * GROUP + len(images))
            yield these, images, _lists(objects, these.start, these.stop)
            del aside, objects
            give_back_memory()
        for each in self._aside:
            each.remove()
        self._images.remove()

    def _lay_aside(self) -> None:
        """Write what is held to a file."""
        path = self._path.with_name(f"{self._path.name}-{len(self._aside)}.objects")
        self._aside.append(_Aside(path, _by_row(pa.concat_tables(self._held))))
        self._held = []
        give_back_memory()


def _find(ids: Ints, among: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Where ids are among others, and whether they are; a place means nothing where one is not."""
    places = pc.index_in(pa.array(ids), value_set=pa.array(among))
    is_there = places.is_valid().to_numpy(zero_copy_only=False)
    return np.asarray(places.fill_null(0), np.int64), is_there


class _Images:
    """The images of a document in a file, by row group."""

    def __init__(self, path: Path, images: pa.Table, order: Ints) -> None:
        """Write some of the images, in this order."""
        self._path = path
        with pa.ipc.new_file(path, images.schema) as file:
            for start in range(0, len(order), GROUP):
                group = images.take(pa.array(order[start : start + GROUP])).combine_chunks()
                file.write_table(group, max_chunksize=GROUP)

    def __iter__(self) -> Iterator[pa.Table]:
        with pa.ipc.open_file(self._path) as file:
            for number in range(file.num_record_batches):
                yield pa.Table.from_batches([file.get_batch(number)])

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink()


class _Aside:
    """Objects in a file, by row group; it is open only while some are read."""

    def __init__(self, path: Path, objects: pa.Table) -> None:
        """Write objects, which are in the order of their rows."""
        groups = objects["row"].to_numpy() // GROUP
        borders = [0, *(np.flatnonzero(np.diff(groups)) + 1), len(groups)]
        self._path = path
        self._batches = {int(groups[start]): place for place, start in enumerate(borders[:-1])}
        with pa.ipc.new_file(path, _ASIDE) as file:
            for start, end in pairwise(borders):
                file.write(objects.slice(start, end - start).combine_chunks().to_batches()[0])

    def group(self, number: int) -> pa.Table:
        """Read the objects of a row group, of which it may have none."""
        if number not in self._batches:
            return _ASIDE.empty_table()
        with pa.ipc.open_file(self._path) as file:
            return pa.Table.from_batches([file.get_batch(self._batches[number])])

    def all(self) -> Iterator[pa.Table]:
        """Read all objects, those of a row group at a time."""
        return map(self.group, self._batches)

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink()


def _by_row(objects: pa.Table) -> pa.Table:
    """Objects by the row of their image; those of one image stay in the document's order."""
    order = np.argsort(objects["row"].to_numpy(), kind="stable")
    return objects.take(pa.array(order)).combine_chunks()


def _lists(objects: pa.Table, start: int, end: int) -> Any:
    """The objects of the rows from ``start`` to before ``end``, one list a row."""
    borders = np.searchsorted(objects["row"].to_numpy(), np.arange(start, end + 1))
    some = objects["object"].slice(borders[0], borders[-1] - borders[0])
    values = some.combine_chunks() if some.num_chunks else pa.array([], fields.OBJECT)
    offsets = pa.array(borders - borders[0], pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=LISTS)
