"""The fields of COCO images and objects as typed columns, with nothing lost.

A field goes into its column where it would come back equal; whatever would not
(a JSON null, another type, an unknown field, an integer that no float holds)
stays verbatim in the ``extra`` column, a JSON object that wins when the COCO
object is put together again. An absent field is null in its column.

A field is one row of `OF_IMAGE` or `OF_OBJECT`; Arrow's types, the encoders and
the decoders follow from that.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cocopipe.documents import ABSENT
from cocopipe.split.kinds import Flag, Integer, Kind, Number, Numbers, Polygons, Rle, Text

Row = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A field of COCO's, and the column that it goes into."""

    column: str
    kind: Kind
    key: str = ""
    """COCO's name for it in JSON; the column's where nothing is said."""
    is_required: bool = False
    """Whether a document without it is refused."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", self.key or self.column)

    @property
    def is_as_written(self) -> bool:
        """Whether the column has what JSON has, under its name."""
        return self.key == self.column and self.kind.is_as_written

    @property
    def arrow(self) -> pa.Field:
        """The column's name and type."""
        return pa.field(self.column, self.kind.type, nullable=not self.is_required)


OF_IMAGE = (
    Field("image_id", Integer(64), key="id", is_required=True),
    Field("file_name", Text(), is_required=True),
    Field("width", Integer(32)),  # pixels, as the document says
    Field("height", Integer(32)),
)

OF_OBJECT = (
    Field("id", Integer(64), is_required=True),
    Field("category_id", Integer(64)),
    Field("bbox", Numbers(4)),  # x, y, width, height in pixels
    Field("area", Number()),  # pixels
    Field("iscrowd", Flag()),
    Field("polygons", Polygons(), key="segmentation"),
    Field("rle", Rle(), key="segmentation"),
    Field("keypoints", Numbers()),  # x, y, visibility each
    Field("num_keypoints", Integer(32)),
    Field("caption", Text()),
)
"""But for ``image_id``, which the table's row has."""

SEGMENTATION = tuple(field for field in OF_OBJECT if field.key == "segmentation")


def _columns(fields: Sequence[Field]) -> list[pa.Field]:
    first, *others = (field.arrow for field in fields)
    place = pa.field("position", pa.int32(), nullable=False)  # in the document's list
    return [first, place, *others, pa.field("extra", pa.string())]  # JSON


OBJECT = pa.struct(_columns(OF_OBJECT))

IMAGE = pa.schema(_columns(OF_IMAGE))


def _as_exported(fields: Iterable[Field]) -> list[Field]:
    """Fields in the order of exported documents: required, then as written, then the others."""
    return sorted(
        fields, key=lambda field: 0 if field.is_required else 1 if field.is_as_written else 2
    )


_EXPORTED_OF_IMAGE, _EXPORTED_OF_OBJECT = map(_as_exported, (OF_IMAGE, OF_OBJECT))


def decode_image(row: Mapping[str, Any]) -> dict[str, Any]:
    """The COCO image of a row."""
    return _as_written(decode_fields(row, _EXPORTED_OF_IMAGE), row)


def decode_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """The COCO annotation of a struct, without its ``image_id``."""
    return _as_written(decode_fields(row, _EXPORTED_OF_OBJECT), row)


def decode_fields(row: Mapping[str, Any], fields: Iterable[Field]) -> dict[str, Any]:
    """These fields of an image or object as COCO has them; of one key, the first that is there."""
    found: dict[str, Any] = {}
    for field in fields:
        value = row[field.column]
        if value is not None and field.key not in found:
            found[field.key] = field.kind.decode(value)
    return found


def read_object(row: Mapping[str, Any]) -> dict[str, Any]:
    """The COCO annotation of a struct as it was read: numbers, however they were written."""
    return decode_fields(row, _EXPORTED_OF_OBJECT)


def _as_written(decoded: dict[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """Put what was read otherwise than written, and what has no column, in its place."""
    extra: dict[str, Any] = json.loads(row["extra"]) if row.get("extra") else {}
    for name in extra.pop(ABSENT, ()):
        decoded.pop(name, None)
    return decoded | extra
