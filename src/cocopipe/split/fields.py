"""The fields of COCO objects as typed columns, with nothing lost.

A field goes into its column where it would come back equal; whatever would not
(a JSON null, another type, an unknown field, an integer that no float holds)
stays verbatim in the ``extra`` column, a JSON object that wins when the COCO
object is put together again. An absent field is null in its column.
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

# Not of fixed size where the length is known: Arrow writes a fixed-size list that is
# null to Parquet, but can't read it again (25.0).
_FLOATS = pa.list_(pa.float64())

RLE = pa.struct(
    [
        pa.field("size", pa.list_(pa.int32())),  # height, width
        pa.field("counts", pa.string()),  # compressed, as pycocotools writes it
        pa.field("runs", pa.list_(pa.int64())),  # uncompressed
    ]
)

OBJECT = pa.struct(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),  # in the document's annotations
        pa.field("category_id", pa.int64()),
        pa.field("bbox", _FLOATS),  # x, y, width, height in pixels
        pa.field("area", pa.float64()),  # pixels
        pa.field("iscrowd", pa.bool_()),
        pa.field("polygons", pa.list_(_FLOATS)),  # x, y, x, y, … each
        pa.field("rle", RLE),
        pa.field("keypoints", _FLOATS),  # x, y, visibility each
        pa.field("num_keypoints", pa.int32()),
        pa.field("caption", pa.string()),
        pa.field("extra", pa.string()),  # JSON
    ]
)

IMAGE = pa.schema(
    [
        pa.field("image_id", pa.int64(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),  # in the document's images
        pa.field("file_name", pa.string(), nullable=False),
        pa.field("width", pa.int32()),  # pixels, as the document says
        pa.field("height", pa.int32()),
        pa.field("extra", pa.string()),  # JSON
    ]
)

Row = dict[str, Any]


def decode_image(row: Mapping[str, Any]) -> dict[str, Any]:
    """The COCO image of a row."""
    image = {"id": row["image_id"], "file_name": row["file_name"]}
    image |= {name: row[name] for name in ("width", "height") if row[name] is not None}
    return image | _unpack(row)


_PLAIN = ("id", "category_id", "bbox", "area", "keypoints", "num_keypoints", "caption")


def decode_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """The COCO annotation of a struct, without its ``image_id``."""
    annotation = {name: row[name] for name in _PLAIN if row[name] is not None}
    if row["iscrowd"] is not None:
        annotation["iscrowd"] = int(row["iscrowd"])
    if row["polygons"] is not None:
        annotation["segmentation"] = row["polygons"]
    elif row["rle"] is not None:
        rle = row["rle"]
        counts = rle["counts"] if rle["runs"] is None else rle["runs"]
        annotation["segmentation"] = {"size": rle["size"], "counts": counts}
    return annotation | _unpack(row)


def _unpack(row: Mapping[str, Any]) -> dict[str, Any]:
    extra = row.get("extra")
    unpacked: dict[str, Any] = json.loads(extra) if extra else {}
    return unpacked


def _number(value: Any) -> float | int | None:
    return value if type(value) is float or (type(value) is int and abs(value) <= 2**53) else None


def encode_numbers(value: Any, length: int | None = None) -> list[float] | None:
    """``value`` if a list of float64 holds it."""
    if type(value) is not list or (length is not None and len(value) != length):
        return None
    types = set(map(type, value))
    if types <= {float}:
        return value
    if types <= {float, int} and all(_number(number) is not None for number in value):
        return value
    return None
