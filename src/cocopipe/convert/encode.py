"""Images and annotations of a document as rows of columns.

Many at once: what is regular goes into the columns as a whole, the rest one by one.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from cocopipe.coco.values import Reread, written
from cocopipe.convert.encoders import ENCODERS, IrregularError, types_of
from cocopipe.convert.readings import Readings
from cocopipe.split.fields import (
    IMAGE,
    OBJECT,
    OF_IMAGE,
    OF_OBJECT,
    Field,
    Row,
    decode_image,
    decode_object,
)

Entries = Sequence[Mapping[str, Any]]
"""Images or annotations as JSON has them."""

_LEAST = 16
"""Objects of which it does not pay to tell regular and irregular ones apart."""

_KEYS_OF_IMAGE = frozenset(field.key for field in OF_IMAGE)
_KEYS_OF_OBJECT = frozenset(field.key for field in OF_OBJECT) | {"image_id"}

_IRREGULAR = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)
"""What Arrow raises on values that a column does not hold."""


def encode_image(position: int, image: Mapping[str, Any], readings: Readings | None = None) -> Row:
    """One COCO image as a row of ``IMAGE``; how it was read is noted."""
    row = _row(OF_IMAGE, position, image)
    lost = _lost(image, decode_image(row))
    if readings is not None and lost:
        readings.note(image, row, lost, OF_IMAGE)
    return row | {"extra": _packed(lost)}


def encode_object(
    position: int, annotation: Mapping[str, Any], readings: Readings | None = None
) -> Row:
    """One COCO annotation as a struct of ``OBJECT``; how it was read is noted."""
    row = _row(OF_OBJECT, position, annotation)
    lost = _lost(annotation, decode_object(row) | {"image_id": annotation["image_id"]})
    if readings is not None and lost:
        readings.note(annotation, row, lost, OF_OBJECT)
    return row | {"extra": _packed(lost)}


def encode_images(images: Entries, first: int = 0, readings: Readings | None = None) -> pa.Table:
    """COCO images as rows of ``IMAGE``: what `encode_image` gives, sooner.

    Args:
        images: each with an int64 ``id`` and a ``file_name``.
        first: the position of the first one.
        readings: takes what was read otherwise than it was written.
    """

    def rows(some: Entries, start: int) -> Any:
        encoded = [encode_image(start + place, image, readings) for place, image in enumerate(some)]
        return pa.RecordBatch.from_pylist(encoded, schema=IMAGE)

    def columns(some: Entries, start: int) -> Any:
        return pa.RecordBatch.from_arrays(
            _columns(OF_IMAGE, _KEYS_OF_IMAGE, some, start), schema=IMAGE
        )

    return pa.Table.from_batches(list(_encoded(images, first, columns, rows)), schema=IMAGE)


def encode_objects(annotations: Entries, first: int = 0, readings: Readings | None = None) -> Any:
    """COCO annotations as structs of ``OBJECT``: what `encode_object` gives, sooner.

    Args:
        annotations: each with an int64 ``id`` and an ``image_id``.
        first: the position of the first one.
        readings: takes what was read otherwise than it was written.

    Returns:
        A ``pa.StructArray`` [M].
    """

    def rows(some: Entries, start: int) -> Any:
        encoded = [encode_object(start + place, one, readings) for place, one in enumerate(some)]
        return pa.array(encoded, OBJECT)

    def columns(some: Entries, start: int) -> Any:
        arrays = _columns(OF_OBJECT, _KEYS_OF_OBJECT, some, start)
        return pa.StructArray.from_arrays(arrays, fields=list(OBJECT))

    parts = list(_encoded(annotations, first, columns, rows))
    return pa.concat_arrays(parts) if parts else pa.array([], OBJECT)


def _encoded(
    items: Entries,
    first: int,
    columns: Callable[[Entries, int], Any],
    rows: Callable[[Entries, int], Any],
) -> Iterator[Any]:
    """All items in their order; halves of them where one is irregular, down to a few."""
    if not items:
        return
    try:
        encoded = columns(items, first)
    except (IrregularError, *_IRREGULAR):
        if len(items) <= _LEAST:
            yield rows(items, first)
            return
        middle = len(items) // 2
        yield from _encoded(items[:middle], first, columns, rows)
        yield from _encoded(items[middle:], first + middle, columns, rows)
        return
    yield encoded


def _row(fields: Sequence[Field], position: int, item: Mapping[str, Any]) -> Row:
    """The columns of one item but for ``extra``, null where they do not hold its value."""
    values = {
        field.column: ENCODERS[type(field.kind)].one(field.kind, item.get(field.key))
        for field in fields
    }
    return {**values, "position": position}


def _lost(entry: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What of an entry as it was written the columns would not give back."""
    return {
        name: value
        for name, value in written(entry).items()
        if name not in known or known[name] != value or _is_other_number(known[name], value)
    }


def _is_other_number(known: Any, value: Any) -> bool:
    """Whether Python takes two values for one that JSON does not: 1, and true or 1.0."""
    return isinstance(value, bool) or (type(known) is int and type(value) is float)


def _packed(lost: Mapping[str, Any]) -> str | None:
    return json.dumps(lost, separators=(",", ":")) if lost else None


def _columns(
    fields: Sequence[Field], known: frozenset[str], items: Entries, start: int
) -> list[Any]:
    """All columns of regular items, in the order of the schema.

    Raises:
        IrregularError: an item is none; so do those of `_IRREGULAR`.
    """
    if Reread in set(map(type, items)):
        raise IrregularError("an entry that was read otherwise than it was written")
    values = {field.key: _values(fields, field.key, items) for field in fields}
    first, *others = (
        ENCODERS[type(field.kind)].column(field.kind, values[field.key]) for field in fields
    )
    positions = pa.array(np.arange(start, start + len(items), dtype=np.int32))
    return [first, positions, *others, _unknown(items, known)]


def _values(fields: Sequence[Field], key: str, items: Entries) -> list[Any]:
    """The values of a key, None where it is absent; each is of a type that some column takes."""
    values = [item.get(key) for item in items]
    if None in values and any(
        key in item for item, value in zip(items, values, strict=True) if value is None
    ):
        raise IrregularError("a JSON null")
    # `true` is an int for Python, but not for JSON.
    taken = (ENCODERS[type(field.kind)].takes for field in fields if field.key == key)
    if not types_of(values) <= set().union(*taken):
        raise IrregularError(key)
    return values


def _unknown(items: Entries, known: frozenset[str]) -> Any:
    """The column ``extra``: fields that have no column, as `_lost` has them."""
    extra_of = {
        shape: [name for name in shape if name not in known] for shape in set(map(tuple, items))
    }
    if not any(extra_of.values()):
        return pa.nulls(len(items), pa.string())
    return pa.array(
        [_packed({name: item[name] for name in extra_of[tuple(item)]}) for item in items],
        pa.string(),
    )
