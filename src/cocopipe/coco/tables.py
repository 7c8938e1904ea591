"""Annotation tables: one Parquet file per COCO document of a split.

One row per image in image-id order, with what the document says about it and
the list of its objects; :mod:`cocopipe.coco.fields` has the columns. The file's
metadata holds the rest of the document as JSON under ``coco`` and a summary
under ``summary``, so both can be read without reading a row.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.coco import fields
from cocopipe.coco.document import PRIMARY, Document, Objects, order
from cocopipe.coco.lookup import look_up
from cocopipe.errors import UserError, some

LISTS = pa.list_(pa.field("element", fields.OBJECT, nullable=False))
SCHEMA = fields.IMAGE.append(pa.field("objects", LISTS, nullable=False))

ROW_GROUP = 4096
"""Images in a row group: bounds the memory of writing, and compresses well."""

HELD_BYTES = 8 * 2**20
"""Objects that a table holds before it lays them aside, in Arrow's bytes."""

_ASIDE = pa.schema([pa.field("row", pa.int32()), pa.field("object", fields.OBJECT)])


class Table:
    """One Parquet file in the making; see `new_table`."""

    def __init__(
        self,
        folder: Path,
        document: Document,
        image_ids: npt.NDArray[np.int64] | None,
        source: str,
    ) -> None:
        listed = document.image_ids
        order = np.argsort(listed)
        if image_ids is not None:
            order = order[np.isin(listed[order], image_ids)]
        self._folder = folder
        self._document = document
        self._source = source
        self._images = pa.array(order)
        """Of the document's, in image-id order."""
        self._image_ids = listed[order]
        self._sizes = _sizes(document)[order]
        self._per_category: Counter[int] = Counter()
        self._held: list[pa.Table] = []
        self._aside: dict[int, _Aside] = {}
        self.objects = 0
        """How many were added."""

    def add(self, objects: Objects) -> tuple[Objects, npt.NDArray[np.float64]]:
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
        """Write all of it."""
        if self._aside and self._held:
            self._lay_aside()
        held = _by_row(pa.concat_tables([_ASIDE.empty_table(), *self._held]))
        schema = SCHEMA.with_metadata(
            {
                "coco": json.dumps(self._document.top),
                "summary": json.dumps(self._summary()),
                "source": json.dumps({"split": self._source}),
            }
        )
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for start in range(0, len(self._images), ROW_GROUP):
                images = self._document.images.take(self._images.slice(start, ROW_GROUP))
                aside = self._aside.get(start // ROW_GROUP)
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
        groups = held["row"].to_numpy() // ROW_GROUP
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
            "has_annotations": self._document.has_annotations,
            "annotations": self.objects,
            "per_category": {
                str(category["id"]): self._per_category[category["id"]]
                for category in self._document.categories
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
        """All of them; the file is gone."""
        self._writer.close()
        with pa.ipc.open_stream(self._path) as file:
            objects = file.read_all()
        self._path.unlink()
        return objects


def _by_row(objects: pa.Table) -> pa.Table:
    """Those of an image stay in their order, which is the document's."""
    order = np.argsort(objects["row"].to_numpy(), kind="stable")
    return objects.take(pa.array(order)).combine_chunks()


def _lists(objects: pa.Table, start: int, end: int) -> Any:
    """The objects of the rows from ``start`` to before ``end``, one list a row."""
    borders = np.searchsorted(objects["row"].to_numpy(), np.arange(start, end + 1))
    some = objects["object"].slice(borders[0], borders[-1] - borders[0])
    values = some.combine_chunks() if some.num_chunks else pa.array([], fields.OBJECT)
    offsets = pa.array(borders - borders[0], pa.int32())
    return pa.ListArray.from_arrays(offsets, values, type=LISTS)


def _sizes(document: Document) -> npt.NDArray[np.float64]:
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
    document: Document,
    image_ids: npt.NDArray[np.int64] | None = None,
    *,
    source: str = "",
) -> Iterator[Table]:
    """Write ``split_dir/annotations/<document>.parquet`` from what the block adds.

    Memory does not grow with the document's objects: past ``HELD_BYTES`` of
    them they lie in files of the folder, one for each row group, until the block ends.

    Args:
        split_dir: the folder of the converted split.
        document: sound.
        image_ids: of the images that the table is to have of the document's; None: all.
        source: the split of the raw data that it is all or part of.
    """
    folder = split_dir / "annotations"
    folder.mkdir(exist_ok=True)
    table = Table(folder, document, image_ids, source)
    yield table
    table.write(folder / f"{document.name}.parquet")


def write_table(split_dir: Path, document: Document, *, source: str = "") -> None:
    """Write a document's table with all of its images and objects; see `new_table`."""
    with new_table(split_dir, document, source=source) as table:
        for objects in document.objects():
            table.add(objects)


def documents(split_dir: Path) -> list[str]:
    """The names of a split's documents, ``instances`` first."""
    folder = split_dir / "annotations"
    if not folder.is_dir():
        raise UserError(f"{split_dir} is not a converted split: run the convert stage first")
    return order(path.stem for path in folder.glob("*.parquet"))


def table_path(split_dir: Path, document: str) -> Path:
    """The file of a document's table.

    Raises:
        UserError: the split has no such document.
    """
    names = documents(split_dir)
    if document not in names:
        needed = "; detection needs COCO instances" if document == PRIMARY else ""
        raise UserError(f"{split_dir} has no {document} table, only {some(names)}{needed}")
    return split_dir / "annotations" / f"{document}.parquet"


def read_table(split_dir: Path, document: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A document's table: one row per image, in image-id order.

    ``columns`` names those that are needed, as Parquet does: of the objects'
    fields ``objects.list.element.bbox`` for instance.
    """
    with pq.ParquetFile(table_path(split_dir, document)) as file:
        return file.read(columns)


def image_ids(split_dir: Path, document: str | None = None) -> npt.NDArray[np.int64]:
    """The ids of a split's images, sorted, int64 [N]: those that a document lists, or any."""
    listed = [
        read_table(split_dir, name, ["image_id"])["image_id"].to_numpy()
        for name in ([document] if document else documents(split_dir))
    ]
    return np.unique(np.concatenate([np.empty(0, np.int64), *listed]))


def read_document(split_dir: Path, document: str) -> dict[str, Any]:
    """The COCO document that the table was made from, equal as parsed JSON.

    Of a divided split it is this part's share; either way, images and
    annotations are in the document's order.
    """
    table = read_table(split_dir, document)
    coco: dict[str, Any] = json.loads(table.schema.metadata[b"coco"])
    coco["images"] = list(images_of([table]))
    if json.loads(table.schema.metadata[b"summary"])["has_annotations"]:
        coco["annotations"] = list(annotations_of([table]))
    return coco


def images_of(parts: Sequence[pa.Table]) -> Iterator[dict[str, Any]]:
    """The COCO images of a document whose tables these are, in its order."""
    rows = pa.concat_tables([table.drop_columns(["objects"]) for table in parts])
    for group in _in_order(rows, rows["position"]):
        for row in group.to_pylist():
            yield fields.decode_image(row)


def annotations_of(parts: Sequence[pa.Table]) -> Iterator[dict[str, Any]]:
    """The COCO annotations of a document whose tables these are, in its order."""
    chunks = [chunk for table in parts for chunk in table["objects"].chunks]
    lists = pa.chunked_array(chunks, LISTS)
    image_ids = pa.chunked_array([each for table in parts for each in table["image_id"].chunks])
    of_object = np.repeat(image_ids.to_numpy(), pc.list_value_length(lists).to_numpy())
    objects = pa.table({"object": pc.list_flatten(lists), "image_id": of_object})
    for group in _in_order(objects, pc.struct_field(objects["object"], "position")):
        for row in group.to_pylist():
            yield {"image_id": row["image_id"]} | fields.decode_object(row["object"])


def _in_order(rows: pa.Table, positions: Any) -> Iterator[pa.Table]:
    """Rows by their positions, a few thousand at a time: as Python objects they are large."""
    order = np.argsort(positions.to_numpy())
    for start in range(0, len(order), ROW_GROUP):
        yield rows.take(pa.array(order[start : start + ROW_GROUP]))


def _metadata(split_dir: Path, document: str, key: bytes) -> dict[str, Any]:
    metadata = pq.read_schema(table_path(split_dir, document)).metadata
    value: dict[str, Any] = json.loads(metadata[key])
    return value


def categories(split_dir: Path, document: str = PRIMARY) -> list[dict[str, Any]]:
    """A document's categories in its order, from the file's footer."""
    listed: list[dict[str, Any]] = _metadata(split_dir, document, b"coco").get("categories", [])
    return listed


def source(split_dir: Path, document: str) -> str:
    """The split of the raw data that a document's table is all or part of."""
    return str(_metadata(split_dir, document, b"source")["split"])


def summary(split_dir: Path, document: str) -> dict[str, Any]:
    """What a document holds, from the file's footer.

    Returns:
        ``document``, ``images``, ``annotations``, ``has_annotations`` and
        ``per_category``: annotations by category id as a string.
    """
    return _metadata(split_dir, document, b"summary")
