"""Annotation tables: one Parquet file per COCO document of a split.

One row per image in image-id order, with what the document says about it and
the list of its objects; :mod:`cocopipe.split.fields` has the columns. The file's
metadata holds the rest of the document as JSON under ``coco`` and a summary
under ``summary``, so both can be read without reading a row.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.documents import PRIMARY, order
from cocopipe.errors import UserError, some
from cocopipe.split import fields

LISTS = pa.list_(pa.field("element", fields.OBJECT, nullable=False))
TABLE_SCHEMA = fields.IMAGE.append(pa.field("objects", LISTS, nullable=False))

TABLE_ROW_GROUP = 4096
"""Images in a row group: bounds the memory of writing, and compresses well."""


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
    for start in range(0, len(order), TABLE_ROW_GROUP):
        yield rows.take(pa.array(order[start : start + TABLE_ROW_GROUP]))


def _metadata(split_dir: Path, document: str, key: bytes) -> dict[str, Any]:
    metadata = pq.read_schema(table_path(split_dir, document)).metadata
    value: dict[str, Any] = json.loads(metadata[key])
    return value


def categories(split_dir: Path, document: str = PRIMARY) -> list[dict[str, Any]]:
    """A document's categories in its order, from the file's footer."""
    listed: list[dict[str, Any]] = _metadata(split_dir, document, b"coco").get("categories", [])
    return listed


def category_names(split_dir: Path, document: str = PRIMARY) -> dict[int, str]:
    """The names of a document's categories by id, in its order."""
    return {category["id"]: category["name"] for category in categories(split_dir, document)}


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
