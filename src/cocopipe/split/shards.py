"""Shards of an image store: their schema, their names, and what is wrong with one.

A picture is its bytes: rows have no ids and no names of documents, which tools change in every
export.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.fs import LocalFileSystem

from cocopipe.errors import UserError
from cocopipe.split.layout import KEY, LAYOUT

ROW_GROUP = 32
"""Images in a row group, which is what a reader of one image reads."""

_COLUMNS = (
    pa.field("sha256", pa.string(), nullable=False),  # of the file, as 64 hex digits
    pa.field("width", pa.int32(), nullable=False),  # pixels, the file's own
    pa.field("height", pa.int32(), nullable=False),
    pa.field("image", pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])),
)


def _features(columns: Iterable[pa.Field]) -> bytes:
    """What `datasets` calls the columns: with it, ``load_dataset("parquet", …)`` shows pictures."""
    features = {
        column.name: {"_type": "Image"}
        if pa.types.is_struct(column.type)
        else {"dtype": str(column.type), "_type": "Value"}
        for column in columns
    }
    return json.dumps({"info": {"features": features}}, separators=(",", ":")).encode()


SCHEMA = pa.schema(
    _COLUMNS, metadata={KEY: str(LAYOUT).encode(), b"huggingface": _features(_COLUMNS)}
)


_HERE = LocalFileSystem()


def image_writer(path: Path, schema: pa.Schema = SCHEMA) -> pq.ParquetWriter:
    """Write a Parquet file of images as they are."""
    return pq.ParquetWriter(
        path.as_posix(),
        schema,
        filesystem=_HERE,  # else it looks for the kind of file system that each path is of
        compression="none",  # image files are compressed already
        use_dictionary=False,
        write_statistics=False,
    )


def lacking(path: Path) -> UserError:
    """Why a store, or a shard of it, can't be of this version of the split."""
    return UserError(
        f"{path} does not hold the images that the annotations list: run the convert stage again,"
        " or `dvc checkout`"
    )
