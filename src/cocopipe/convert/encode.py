"""Images and annotations of a document as columns."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.split.fields import (
    IMAGE,
    OBJECT,
    RLE,
    Row,
    _number,
    decode_image,
    decode_object,
    encode_numbers,
)


def encode_image(position: int, image: Mapping[str, Any]) -> Row:
    """One COCO image as a row of ``IMAGE``."""
    row = {
        "image_id": image["id"],
        "position": position,
        "file_name": image["file_name"],
        "width": _integer(image.get("width"), 32),
        "height": _integer(image.get("height"), 32),
    }
    return row | {"extra": _extra(image, decode_image(row))}


def encode_object(position: int, annotation: Mapping[str, Any]) -> Row:
    """One COCO annotation as a struct of ``OBJECT``."""
    segmentation = annotation.get("segmentation")
    row = {
        "id": annotation["id"],
        "position": position,
        "category_id": _integer(annotation.get("category_id"), 64),
        "bbox": encode_numbers(annotation.get("bbox"), 4),
        "area": _number(annotation.get("area")),
        "iscrowd": _flag(annotation.get("iscrowd")),
        "polygons": _polygons(segmentation),
        "rle": _rle(segmentation),
        "keypoints": encode_numbers(annotation.get("keypoints")),
        "num_keypoints": _integer(annotation.get("num_keypoints"), 32),
        "caption": _text(annotation.get("caption")),
    }
    known = decode_object(row)
    known["image_id"] = annotation["image_id"]
    return row | {"extra": _extra(annotation, known)}


def _extra(original: Mapping[str, Any], known: Mapping[str, Any]) -> str | None:
    """What of ``original`` the columns would not give back, as JSON."""
    lost = {
        name: value
        for name, value in original.items()
        # Python takes true for 1; JSON doesn't.
        if isinstance(value, bool) or name not in known or known[name] != value
    }
    return json.dumps(lost, separators=(",", ":")) if lost else None


def _integer(value: Any, bits: int) -> int | None:
    limit = 2 ** (bits - 1)
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return value if type(value) is int and -limit <= value < limit else None


def _flag(value: Any) -> bool | None:
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else None


def _polygons(segmentation: Any) -> list[list[float]] | None:
    if type(segmentation) is not list or any(encode_numbers(ring) is None for ring in segmentation):
        return None
    return segmentation


def _rle(segmentation: Any) -> Row | None:
    if type(segmentation) is not dict or segmentation.keys() != {"size", "counts"}:
        return None
    size, counts = segmentation["size"], segmentation["counts"]
    if not _integers(size, 32) or len(size) != 2:
        return None
    if _text(counts) is not None:
        return {"size": size, "counts": counts, "runs": None}
    if _integers(counts, 64):
        return {"size": size, "counts": None, "runs": counts}
    return None


def _integers(value: Any, bits: int) -> bool:
    limit = 2 ** (bits - 1)
    return (
        type(value) is list
        and set(map(type, value)) <= {int}
        and all(-limit <= number < limit for number in value)
    )


def _text(value: Any) -> str | None:
    """``value`` if it is text that UTF-8 holds, which a lone surrogate is not."""
    if type(value) is not str:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


# Many at once: what is regular goes into the columns as a whole, the rest one by one.

_LEAST = 16
"""Objects of which it does not pay to tell regular and irregular ones apart."""

_IRREGULAR = (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, UnicodeEncodeError)
"""What Arrow raises on values that a column does not hold."""

_OF_IMAGE = frozenset({"id", "file_name", "width", "height"})
_OF_OBJECT = frozenset(
    {
        "id",
        "image_id",
        "category_id",
        "bbox",
        "area",
        "iscrowd",
        "segmentation",
        "keypoints",
        "num_keypoints",
        "caption",
    }
)


class _IrregularError(ValueError):
    """A value that does not go into its column as it is."""


def encode_images(images: Sequence[Mapping[str, Any]], first: int = 0) -> pa.Table:
    """COCO images as rows of ``IMAGE``: what `encode_image` gives, sooner.

    Args:
        images: each with an int64 ``id`` and a ``file_name``.
        first: the position of the first one.
    """

    def columns(some: Sequence[Mapping[str, Any]], start: int) -> list[Any]:
        return [
            pa.array([image["id"] for image in some], pa.int64()),
            _positions(some, start),
            pa.array([image["file_name"] for image in some], pa.string()),
            _scalars(some, "width", pa.int32(), {int}),
            _scalars(some, "height", pa.int32(), {int}),
            _unknown(some, _OF_IMAGE),
        ]

    def rows(some: Sequence[Mapping[str, Any]], start: int) -> Any:
        encoded = [encode_image(start + place, image) for place, image in enumerate(some)]
        return pa.RecordBatch.from_pylist(encoded, schema=IMAGE)

    def batch(arrays: list[Any]) -> Any:
        return pa.RecordBatch.from_arrays(arrays, schema=IMAGE)

    return pa.Table.from_batches(list(_encoded(images, first, columns, batch, rows)), schema=IMAGE)


def encode_objects(annotations: Sequence[Mapping[str, Any]], first: int = 0) -> Any:
    """COCO annotations as structs of ``OBJECT``: what `encode_object` gives, sooner.

    Args:
        annotations: each with an int64 ``id`` and an ``image_id``.
        first: the position of the first one.

    Returns:
        A ``pa.StructArray`` [M].
    """

    def columns(some: Sequence[Mapping[str, Any]], start: int) -> list[Any]:
        polygons, rle = _segmentations(some)
        return [
            pa.array([annotation["id"] for annotation in some], pa.int64()),
            _positions(some, start),
            _scalars(some, "category_id", pa.int64(), {int}),
            _number_lists(some, "bbox", 4),
            _scalars(some, "area", pa.float64(), {int, float}),
            _flags(some, "iscrowd"),
            polygons,
            rle,
            _number_lists(some, "keypoints"),
            _scalars(some, "num_keypoints", pa.int32(), {int}),
            _scalars(some, "caption", pa.string(), {str}),
            _unknown(some, _OF_OBJECT),
        ]

    def rows(some: Sequence[Mapping[str, Any]], start: int) -> Any:
        encoded = [encode_object(start + place, one) for place, one in enumerate(some)]
        return pa.array(encoded, OBJECT)

    def struct(arrays: list[Any]) -> Any:
        return pa.StructArray.from_arrays(arrays, fields=list(OBJECT))

    parts = list(_encoded(annotations, first, columns, struct, rows))
    return pa.concat_arrays(parts) if parts else pa.array([], OBJECT)


def _encoded(
    items: Sequence[Mapping[str, Any]],
    first: int,
    columns: Callable[[Sequence[Mapping[str, Any]], int], list[Any]],
    join: Callable[[list[Any]], Any],
    rows: Callable[[Sequence[Mapping[str, Any]], int], Any],
) -> Iterator[Any]:
    """All items in their order; halves of them where one is irregular, down to a few."""
    if not items:
        return
    try:
        arrays = columns(items, first)
    except (_IrregularError, *_IRREGULAR):
        if len(items) <= _LEAST:
            yield rows(items, first)
            return
        middle = len(items) // 2
        yield from _encoded(items[:middle], first, columns, join, rows)
        yield from _encoded(items[middle:], first + middle, columns, join, rows)
        return
    yield join(arrays)


def _positions(items: Sequence[Any], start: int) -> Any:
    return pa.array(np.arange(start, start + len(items), dtype=np.int32))


def _present(items: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    """Values of a field, None where it is absent."""
    values = [item.get(name) for item in items]
    if None in values and any(
        name in item for item, value in zip(items, values, strict=True) if value is None
    ):
        raise _IrregularError("a JSON null")
    return values


def _kinds(values: Iterable[Any]) -> set[type]:
    return set(map(type, values)) - {type(None)}


def _scalars(items: Sequence[Mapping[str, Any]], name: str, kind: Any, allowed: set[type]) -> Any:
    values = _present(items, name)
    # `true` is an int for Python, but not for JSON.
    if not _kinds(values) <= allowed:
        raise _IrregularError(name)
    array = pa.array(values, kind)
    if pa.types.is_floating(kind):
        _require_exact(array.drop_null().to_numpy(), _kinds(values))
    return array


def _flags(items: Sequence[Mapping[str, Any]], name: str) -> Any:
    values = _present(items, name)
    if not _kinds(values) <= {int} or not set(values) <= {0, 1, None}:
        raise _IrregularError(name)
    return pa.array([None if value is None else value == 1 for value in values], pa.bool_())


def _number_lists(items: Sequence[Mapping[str, Any]], name: str, length: int | None = None) -> Any:
    values = _present(items, name)
    if not _kinds(values) <= {list}:
        raise _IrregularError(name)
    lists, mask = _lists(values)
    if length is not None and any(len(each) != length for each in lists):
        raise _IrregularError(name)
    return _list_array(lists, _numbers(lists), mask)


def _segmentations(items: Sequence[Mapping[str, Any]]) -> tuple[Any, Any]:
    """The columns ``polygons`` and ``rle``."""
    values = _present(items, "segmentation")
    kinds = _kinds(values)
    if not kinds <= {list, dict}:
        raise _IrregularError("segmentation")
    polygons, mask = _lists([value if type(value) is list else None for value in values])
    rings = list(chain.from_iterable(polygons))
    if not _kinds(rings) <= {list} or None in rings:
        raise _IrregularError("segmentation")
    inner = _list_array(rings, _numbers(rings), None)
    outer = _list_array(polygons, inner, mask)
    if dict not in kinds:
        return outer, pa.nulls(len(items), RLE)
    encoded = [_rle(value) for value in values]
    if any(one is None for one, value in zip(encoded, values, strict=True) if type(value) is dict):
        raise _IrregularError("segmentation")
    return outer, pa.array(encoded, RLE)


def _lists(values: list[list[Any] | None]) -> tuple[list[list[Any]], list[bool] | None]:
    """The lists, empty ones in the place of None; and where None was, if anywhere."""
    if None not in values:
        return values, None  # type: ignore[return-value]
    return [value or [] for value in values], [value is None for value in values]


def _list_array(lists: list[list[Any]], values: Any, mask: list[bool] | None) -> Any:
    offsets = np.zeros(len(lists) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, lists), np.int32, len(lists)), out=offsets[1:])
    return pa.ListArray.from_arrays(
        pa.array(offsets), values, mask=None if mask is None else pa.array(mask)
    )


def _numbers(lists: list[list[Any]]) -> Any:
    """The numbers of all lists, one after the other, as float64."""
    flat = list(chain.from_iterable(lists))
    kinds = set(map(type, flat))
    if not kinds <= {int, float}:
        raise _IrregularError("no number")
    numbers = np.array(flat, np.float64)
    _require_exact(numbers, kinds)
    return pa.array(numbers)


def _require_exact(numbers: "npt.NDArray[np.float64]", kinds: set[type]) -> None:
    """Raise unless a float64 holds these numbers, and equals itself."""
    if np.isnan(numbers).any() or (int in kinds and (np.abs(numbers) >= 2**53).any()):
        raise _IrregularError("no float64")


def _unknown(items: Sequence[Mapping[str, Any]], known: frozenset[str]) -> Any:
    """The column ``extra``: fields that have no column, as `_extra` writes them."""
    extra_of = {
        shape: [name for name in shape if name not in known] for shape in set(map(tuple, items))
    }
    if not any(extra_of.values()):
        return pa.nulls(len(items), pa.string())
    texts = []
    for item in items:
        names = extra_of[tuple(item)]
        lost = {name: item[name] for name in names}
        texts.append(json.dumps(lost, separators=(",", ":")) if lost else None)
    return pa.array(texts, pa.string())
