"""Writing annotation tables, whose objects need not fit into memory."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.convert.columns import Annotations, DocumentColumns
from cocopipe.split import fields
from cocopipe.split.lookup import look_up
from cocopipe.split.tables import LISTS, TABLE_ROW_GROUP, TABLE_SCHEMA

HELD_BYTES = 8 * 2**20
"""Objects that a table holds before it lays them aside, in Arrow's bytes."""

_ASIDE = pa.schema([pa.field("row", pa.int32()), pa.field("object", fields.OBJECT)])


class Table:
    """One Parquet file in the making; see `new_table`."""

    def __init__(
        self,
        folder: Path,
        document: DocumentColumns,
        image_ids: npt.NDArray[np.int64] | None,
        source: str,
    ) -> None:
        listed = document.coco.image_ids
        order = np.argsort(listed)
        if image_ids is not None:
            order = order[np.isin(listed[order], image_ids)]
        self._folder = folder
        self._document = document
        self._source = source
        self._images = pa.array(order)
        """Rows of the document's images, in image-id order."""
        self._image_ids = listed[order]
        self._sizes = _sizes(document)[order]
        self._per_category: Counter[int] = Counter()
        self._held: list[pa.Table] = []
        self._aside: dict[int, _Aside] = {}
        self.objects = 0
        """How many objects were added."""

    def add(self, objects: Annotations) -> tuple[Annotations, npt.NDArray[np.float64]]:
        """Take those objects that are of the table's images.

        All that are added follow each other as in the document.

        Returns:
            Those that were taken; and of each its image's width and height in
            pixels, endless where the document doesn't say, [M, 2].
        """
        row, known = look_up(objects.image_ids, self._image_ids)
        taken = objects.only(known)
        sizes = self._sizes[row[known]]
        if not len(taken):
            return taken, sizes
        rows = pa.array(row[known].astype(np.int32))
        self._held.append(pa.Table.from_arrays([rows, taken.rows], schema=_ASIDE))
        self.objects += len(taken)
        for each in pc.value_counts(taken.rows.field("category_id").drop_null()).to_pylist():
            self._per_category[each["values"]] += each["counts"]
        if sum(held.nbytes for held in self._held) > HELD_BYTES:
            self._lay_aside()
        return taken, sizes

    def write(self, path: Path) -> None:
        """Write the table with all that was added."""
        if self._aside and self._held:
            self._lay_aside()
        held = _by_row(pa.concat_tables([_ASIDE.empty_table(), *self._held]))
        schema = TABLE_SCHEMA.with_metadata(
            {
                "coco": json.dumps(self._document.coco.top),
                "summary": json.dumps(self._summary()),
                "source": json.dumps({"split": self._source}),
            }
        )
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for start in range(0, len(self._images), TABLE_ROW_GROUP):
                images = self._document.images.take(self._images.slice(start, TABLE_ROW_GROUP))
                aside = self._aside.get(start // TABLE_ROW_GROUP)
                objects = _by_row(aside.taken_back()) if aside else held
                lists = _lists(objects, start, start + len(images))
                columns = [*(images[name] for name in fields.IMAGE.names), lists]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                del objects, lists, columns
                give_back_memory()

    def _lay_aside(self) -> None:
        """Write what is held to files of the row groups that it is of."""
        held = _by_row(pa.concat_tables(self._held))
        self._held = []
        groups = held["row"].to_numpy() // TABLE_ROW_GROUP
        borders = [0, *(np.flatnonzero(np.diff(groups)) + 1), len(groups)]
        for start, end in pairwise(borders):
            group = int(groups[start])
            if group not in self._aside:
                name = f"{self._document.name}-{group}.objects"
                self._aside[group] = _Aside(self._folder / name)
            self._aside[group].add(held.slice(start, end - start))
        del held
        give_back_memory()

    def _summary(self) -> dict[str, Any]:
        return {
            "document": self._document.name,
            "images": len(self._images),
            # The document may lack the list; an empty one is another document.
            "has_annotations": self._document.coco.has_annotations,
            "annotations": self.objects,
            "per_category": {
                str(category["id"]): self._per_category[category["id"]]
                for category in self._document.coco.categories
            },
        }


def give_back_memory() -> None:
    """Let the system have what Arrow has freed, and would keep for later."""
    pa.default_memory_pool().release_unused()


class _Aside:
    """Objects of one row group in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer = pa.ipc.new_stream(path, _ASIDE)

    def add(self, objects: pa.Table) -> None:
        self._writer.write_table(objects)

    def taken_back(self) -> pa.Table:
        """Read all of them, and remove the file."""
        self._writer.close()
        with pa.ipc.open_stream(self._path) as file:
            objects = file.read_all()
        self._path.unlink()
        return objects


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


def _sizes(document: DocumentColumns) -> npt.NDArray[np.float64]:
    """Width and height of each image, endless where it has none, [N, 2]."""
    sides = [
        pc.fill_null(document.images[side].cast(pa.float64()), math.inf).to_numpy()
        for side in ("width", "height")
    ]
    sizes = np.stack(sides, axis=1)
    sizes[(sizes <= 0).any(axis=1)] = math.inf
    return sizes


@contextmanager
def new_table(
    split_dir: Path,
    document: DocumentColumns,
    image_ids: npt.NDArray[np.int64] | None = None,
    *,
    source: str = "",
) -> Iterator[Table]:
    """Write ``split_dir/annotations/<document>.parquet`` from what the block adds.

    Memory does not grow with the document's objects: past ``HELD_BYTES`` of
    them they lie in files of the folder, one for each row group, until the block ends.

    Args:
        split_dir: the folder of the converted split.
        document: the document, found sound.
        image_ids: the ids of the document's images that the table is to have; None takes all.
        source: the split of the raw data that it is all or part of.
    """
    folder = split_dir / "annotations"
    folder.mkdir(exist_ok=True)
    table = Table(folder, document, image_ids, source)
    yield table
    table.write(folder / f"{document.name}.parquet")
