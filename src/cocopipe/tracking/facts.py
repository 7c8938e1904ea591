"""What a converted split holds, for whoever records dataset versions."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from cocopipe.split import tables
from cocopipe.split.shards import SCHEMA

# MLflow's column types (mlflow.types.DataType). What is nested has none and is called string.
_TYPES = {
    pa.bool_(): "boolean",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
}


def facts(path: Path) -> dict[str, Any] | None:
    """Facts of a converted split, from the footers of its files alone.

    Returns:
        ``profile`` (images, annotations and categories of the main document,
        names of all documents) and ``schema`` (name and MLflow type of the
        columns of image store and table); None if ``path`` is anything else, or in
        another layout.
    """
    if not tables.is_readable(path):
        return None
    documents = tables.documents(path)
    main = documents[0]
    summary = tables.summary(path, main)
    names = ("image_id", "file_name", "objects")
    columns = [*SCHEMA, *(field for field in tables.TABLE_SCHEMA if field.name in names)]
    return {
        "profile": {
            "images": summary["images"],
            "annotations": summary["annotations"],
            "categories": len(tables.categories(path, main)),
            "documents": ", ".join(documents),
        },
        "schema": [
            {"name": field.name, "type": _TYPES.get(field.type, "string")} for field in columns
        ],
    }
