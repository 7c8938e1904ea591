"""Annotation tables: one Parquet file per COCO document of a split.

One row per image, with what the document says about it, where its file is in the image store, and
the list of its objects; :mod:`cocopipe.split.fields` has the columns of COCO's. Rows are by the
split of the raw data that they come from, then in the order of canonical names, as in the store.
The file's metadata holds the rest of the documents as JSON under ``sources``, their categories
under ``categories`` and a summary under ``summary``: to read these, no row is read.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.documents import KEYPOINTS, PRIMARY, order
from cocopipe.errors import UserError, some
from cocopipe.split import fields
from cocopipe.split.ids import written_ids
from cocopipe.split.layout import LAYOUT, number, require_layout

LISTS = pa.list_(pa.field("element", fields.OBJECT, nullable=False))

PLACE = (
    pa.field("source", pa.string(), nullable=False),  # the split of the raw data
    pa.field("sha256", pa.string(), nullable=False),  # of the file, as 64 hex digits
    pa.field("shard", pa.string(), nullable=False),  # of the image store, without suffix
    pa.field("row", pa.int32(), nullable=False),  # in that shard
    pa.field("turn", pa.int8(), nullable=False),  # EXIF's number for how to turn it; 1: not
)
"""Columns that say where an image's file is; those of `fields.IMAGE` say what it is."""

TABLE_SCHEMA = pa.schema([*fields.IMAGE, *PLACE, pa.field("objects", LISTS, nullable=False)])

_SUMMARY = b"summary"

TABLE_ROW_GROUP = 4096
"""Images in a row group: bounds the memory of writing, and compresses well."""


def is_split(folder: Path) -> bool:
    """Whether a folder is a converted split, told by the tables in it; of any layout."""
    return any(_SUMMARY in found for found in _metadata_of_all(folder))


def is_readable(folder: Path) -> bool:
    """Whether a folder is a converted split in the layout that is read here."""
    found = [each for each in _metadata_of_all(folder) if _SUMMARY in each]
    return bool(found) and all(number(each) == LAYOUT for each in found)


def require_readable(folder: Path, where: str, *, is_past: bool) -> None:
    """Accept a converted split whose tables are in the layout that is read here.

    Args:
        folder: of the split.
        where: what it is called in messages.
        is_past: as of `require_layout`.

    Raises:
        UserError: they are not.
    """
    for found in _metadata_of_all(folder):
        if _SUMMARY in found:
            require_layout(found, where, is_past=is_past)


def _metadata_of_all(folder: Path) -> Iterator[Mapping[bytes, bytes]]:
    """What each of the tables says of itself; of files that are none, nothing."""
    for path in sorted((folder / "annotations").glob("[!.]*.parquet")):
        with contextlib.suppress(pa.ArrowInvalid, OSError):
            yield pq.read_metadata(path).metadata or {}


def documents(split_dir: Path) -> list[str]:
    """The names of a split's documents, ``instances`` first."""
    folder = split_dir / "annotations"
    if not folder.is_dir():
        raise UserError(f"{split_dir} is not a converted split: run the convert stage first")
    return order(path.stem for path in folder.glob("*.parquet"))


def document_of(split_dir: Path, *, keypoints: bool) -> str:
    """The name of the document that a detector reads.

    Args:
        split_dir: a converted split.
        keypoints: Whether it is one of keypoints: those are mostly in a document of their own.
    """
    return KEYPOINTS if keypoints and KEYPOINTS in documents(split_dir) else PRIMARY


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


def open_table(split_dir: Path, document: str) -> pq.ParquetFile:
    """Open the file of a document's table.

    Raises:
        UserError: the split has no such document, or is in another layout.
    """
    path = table_path(split_dir, document)
    file = pq.ParquetFile(path)
    try:
        require_layout(file.schema_arrow.metadata, path)
    except UserError:
        file.close()
        raise
    return file


def read_table(split_dir: Path, document: str, columns: Sequence[str] | None = None) -> pa.Table:
    """A document's table: one row per image.

    ``columns`` names those that are needed, as Parquet does: of the objects'
    fields ``objects.list.element.bbox`` for instance.
    """
    with open_table(split_dir, document) as file:
        return file.read(columns)


def image_ids(split_dir: Path, document: str) -> npt.NDArray[np.int64]:
    """The ids of the images that a document lists, in the order of its table, int64 [N]."""
    return np.asarray(read_table(split_dir, document, ["image_id"])["image_id"], np.int64)


@dataclass(frozen=True)
class Source:
    """What a table has of one split of the raw data."""

    split: str
    coco: dict[str, Any]
    """Every field of its document but images and annotations."""
    has_annotations: bool
    images: int
    annotations: int


def sources(split_dir: Path, document: str) -> list[Source]:
    """The splits of the raw data that a document's table has images of, or could have."""
    return [Source(**each) for each in _metadata(split_dir, document, b"sources")]


def read_document(split_dir: Path, document: str, source: str | None = None) -> dict[str, Any]:
    """The COCO document that the table was made from, equal as parsed JSON.

    Of a divided split it is this part's share; either way, images and
    annotations are in the document's order.

    Args:
        split_dir: a converted split.
        document: such as ``instances``.
        source: the split of the raw data; None: the only one that there is.
    """
    table = read_table(split_dir, document)
    listed = sources(split_dir, document)
    found = next((each for each in listed if source in (None, each.split)), None)
    if found is None or (source is None and len(listed) > 1):
        raise UserError(
            f"{split_dir} has {document} of {some([each.split for each in listed])}: name one"
        )
    table = table.filter(pc.equal(table["source"], found.split))
    coco: dict[str, Any] = dict(found.coco)
    coco["images"] = list(images_of([table]))
    if found.has_annotations:
        coco["annotations"] = list(annotations_of([table]))
    return coco


def images_of(parts: Sequence[pa.Table]) -> Iterator[dict[str, Any]]:
    """The COCO images of a document whose tables these are, in its order."""
    rows = pa.concat_tables([table.select(fields.IMAGE.names) for table in parts])
    for group in _in_order(rows, rows["position"]):
        for row in group.to_pylist():
            yield fields.decode_image(row)


def annotations_of(parts: Sequence[pa.Table]) -> Iterator[dict[str, Any]]:
    """The COCO annotations of a document whose tables these are, in its order."""
    chunks = [chunk for table in parts for chunk in table["objects"].chunks]
    lists = pa.chunked_array(chunks, LISTS)
    written = [written_ids(table["image_id"], table["extra"]) for table in parts]
    counts = pc.list_value_length(lists).to_numpy()
    of_object = np.repeat(np.concatenate([np.empty(0, object), *written]), counts)
    objects = pa.table(
        {"object": pc.list_flatten(lists), "number": pa.array(np.arange(len(of_object)))}
    )
    for group in _in_order(objects, pc.struct_field(objects["object"], "position")):
        for row in group.to_pylist():
            image_id = of_object[row["number"]]
            yield {"image_id": image_id} | fields.decode_object(row["object"])


def _in_order(rows: pa.Table, positions: Any) -> Iterator[pa.Table]:
    """Rows by their positions, a few thousand at a time: as Python objects they are large."""
    order = np.argsort(positions.to_numpy())
    for start in range(0, len(order), TABLE_ROW_GROUP):
        yield rows.take(pa.array(order[start : start + TABLE_ROW_GROUP]))


def _metadata(split_dir: Path, document: str, key: bytes) -> Any:
    with open_table(split_dir, document) as file:
        return json.loads(file.schema_arrow.metadata[key])


def categories(split_dir: Path, document: str = PRIMARY) -> list[dict[str, Any]]:
    """A document's categories in its order, from the file's footer."""
    listed: list[dict[str, Any]] = _metadata(split_dir, document, b"categories")
    return listed


def category_names(split_dir: Path, document: str = PRIMARY) -> dict[int, str]:
    """The names of a document's categories by id, in its order."""
    return {category["id"]: category["name"] for category in categories(split_dir, document)}


def summary(split_dir: Path, document: str) -> dict[str, Any]:
    """What a document holds, from the file's footer.

    Returns:
        ``document``, ``images``, ``annotations``, ``has_annotations`` and
        ``per_category``: annotations by category id as a string.
    """
    found: dict[str, Any] = _metadata(split_dir, document, _SUMMARY)
    return found
