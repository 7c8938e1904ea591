"""Annotation tables: one Parquet file per COCO document of a split.

One row per image in image-id order, with what the document says about it and
the list of its objects; :mod:`cocopipe.coco.fields` has the columns. The file's
metadata holds the rest of the document as JSON under ``coco`` and a summary
under ``summary``, so both can be read without reading a row.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cocopipe.coco import fields
from cocopipe.coco.document import PRIMARY, Document, order
from cocopipe.errors import UserError, some

SCHEMA = fields.IMAGE.append(
    pa.field(
        "objects", pa.list_(pa.field("element", fields.OBJECT, nullable=False)), nullable=False
    )
)

ROW_GROUP = 4096
"""Images in a row group: bounds the memory of writing, and compresses well."""


def write_table(split_dir: Path, document: Document) -> None:
    """Write ``split_dir/annotations/<document>.parquet``."""
    objects = defaultdict(list)
    for position, annotation in document.annotations or ():
        objects[annotation["image_id"]].append((position, annotation))
    images = sorted(document.images, key=lambda item: int(item[1]["id"]))
    folder = split_dir / "annotations"
    folder.mkdir(exist_ok=True)
    schema = SCHEMA.with_metadata(
        {"coco": json.dumps(document.top), "summary": json.dumps(_summarize(document))}
    )
    path = folder / f"{document.name}.parquet"
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(images), ROW_GROUP):
            rows = [
                fields.encode_image(position, image)
                | {"objects": [fields.encode_object(*item) for item in objects[image["id"]]]}
                for position, image in images[start : start + ROW_GROUP]
            ]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _summarize(document: Document) -> dict[str, Any]:
    category_ids = (one.get("category_id") for _, one in document.annotations or ())
    per_category = Counter(number for number in category_ids if type(number) is int)
    return {
        "document": document.name,
        "images": len(document.images),
        # The document may lack the list; an empty one is another document.
        "has_annotations": document.annotations is not None,
        "annotations": len(document.annotations or ()),
        "per_category": {
            str(category["id"]): per_category[category["id"]] for category in document.categories
        },
    }


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


def read_table(split_dir: Path, document: str) -> pa.Table:
    """A document's table: one row per image, in image-id order."""
    return pq.read_table(table_path(split_dir, document))


def read_document(split_dir: Path, document: str) -> dict[str, Any]:
    """The COCO document that the table was made from, equal as parsed JSON.

    Of a divided split it is this part's share; either way, images and
    annotations are in the document's order.
    """
    table = read_table(split_dir, document)
    images: list[tuple[int, dict[str, Any]]] = []
    annotations: list[tuple[int, dict[str, Any]]] = []
    for batch in table.to_batches(max_chunksize=ROW_GROUP):
        for row in batch.to_pylist():
            images.append((row["position"], fields.decode_image(row)))
            annotations += [
                (item["position"], {"image_id": row["image_id"]} | fields.decode_object(item))
                for item in row["objects"]
            ]
    coco: dict[str, Any] = json.loads(table.schema.metadata[b"coco"])
    coco["images"] = _in_order(images)
    if json.loads(table.schema.metadata[b"summary"])["has_annotations"]:
        coco["annotations"] = _in_order(annotations)
    return coco


def _in_order(items: list[tuple[int, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [item for _, item in sorted(items, key=lambda item: item[0])]


def _metadata(split_dir: Path, document: str, key: bytes) -> dict[str, Any]:
    metadata = pq.read_schema(table_path(split_dir, document)).metadata
    value: dict[str, Any] = json.loads(metadata[key])
    return value


def categories(split_dir: Path, document: str = PRIMARY) -> list[dict[str, Any]]:
    """A document's categories in its order, from the file's footer."""
    listed: list[dict[str, Any]] = _metadata(split_dir, document, b"coco").get("categories", [])
    return listed


def summary(split_dir: Path, document: str) -> dict[str, Any]:
    """What a document holds, from the file's footer.

    Returns:
        ``document``, ``images``, ``annotations``, ``has_annotations`` and
        ``per_category``: annotations by category id as a string.
    """
    return _metadata(split_dir, document, b"summary")
