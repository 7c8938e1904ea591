"""What JSON has as values of columns, kind by kind.

Each kind is encoded in two ways: value by value, and a column of regular values at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.coco.values import integer, number
from cocopipe.split.kinds import (
    Flag,
    Integer,
    Kind,
    Number,
    Numbers,
    Polygons,
    Rle,
    Text,
)


class IrregularError(ValueError):
    """A value that does not go into its column as it is."""


def types_of(values: Sequence[Any]) -> set[type]:
    """The types of values, of those that are not None."""
    return set(map(type, values)) - {type(None)}


# One value, as it is read: what the column has for it, None where it can't mean one thing.


def _integer(kind: Integer, value: Any) -> int | None:
    limit = 2 ** (kind.bits - 1)
    found = integer(value)
    return found if found is not None and -limit <= found < limit else None


def _number(kind: Number, value: Any) -> float | int | None:
    del kind
    return number(value)


def numbers(value: Any, length: int | None = None) -> list[float] | None:
    """The numbers of a list, of this length or of any; None where one is none."""
    if type(value) is not list or (length is not None and len(value) != length):
        return None
    if set(map(type, value)) <= {float}:
        return value
    found = [number(each) for each in value]
    return None if None in found else found  # type: ignore[return-value]


def _text(kind: Text, value: Any) -> str | None:
    """``value`` if it is text that UTF-8 holds, which a lone surrogate is not."""
    del kind
    if type(value) is not str:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return value


def _flag(kind: Flag, value: Any) -> bool | None:
    del kind
    found = number(int(value) if isinstance(value, bool) else value)
    return bool(found) if found in (0, 1) else None


def _numbers(kind: Numbers, value: Any) -> list[float] | None:
    if type(value) is dict and kind.length == 4:
        return _box(value)
    return numbers(value, kind.length)


_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)


def _box(value: Mapping[str, Any]) -> list[float] | None:
    """A box whose numbers have names."""
    for names in _SIDES:
        if value.keys() == {*names}:
            return numbers([value[name] for name in names])
    for names in _CORNERS:
        if value.keys() == {*names} and (found := numbers([value[name] for name in names])):
            left, top, right, bottom = found
            return [left, top, right - left, bottom - top]
    return None


def _polygons(kind: Polygons, value: Any) -> list[list[float]] | None:
    del kind
    if type(value) is not list:
        return None
    if len(value) >= _LEAST_POLYGON and len(value) % 2 == 0 and (flat := numbers(value)):
        return [flat]
    rings = [numbers(ring) for ring in value]
    return None if None in rings else rings  # type: ignore[return-value]


_LEAST_POLYGON = 6
"""Numbers of a triangle."""


def _rle(kind: Rle, value: Any) -> dict[str, Any] | None:
    del kind
    if type(value) is not dict or value.keys() != {"size", "counts"}:
        return None
    size, counts = value["size"], value["counts"]
    if not _are_integers(size, 32) or len(size) != 2:
        return None
    if _text(Text(), counts) is not None:
        return {"size": size, "counts": counts, "runs": None}
    if _are_integers(counts, 64):
        return {"size": size, "counts": None, "runs": counts}
    return None


def _are_integers(value: Any, bits: int) -> bool:
    limit = 2 ** (bits - 1)
    if type(value) is not list or not set(map(type, value)) <= {int}:
        return False
    return not value or (-limit <= min(value) and max(value) < limit)


# Many values, each of a type that the key's columns take: the column, or an error.


def _scalars(kind: Kind, values: list[Any]) -> Any:
    array = pa.array(values, kind.type)
    if pa.types.is_floating(kind.type):
        _require_exact(array.drop_null().to_numpy(), types_of(values))
    return array


def _flags(kind: Flag, values: list[Any]) -> Any:
    if not set(values) <= {0, 1, None}:
        raise IrregularError("no flag")
    return pa.array([None if value is None else value == 1 for value in values], kind.type)


def _number_lists(kind: Numbers, values: list[Any]) -> Any:
    lists, mask = _lists(values)
    if kind.length is not None and any(len(each) != kind.length for each in lists):
        raise IrregularError("a list of another length")
    return _list_array(lists, _all_numbers(lists), mask)


def _polygon_lists(kind: Polygons, values: list[Any]) -> Any:
    del kind
    polygons, mask = _lists([value if type(value) is list else None for value in values])
    rings = list(chain.from_iterable(polygons))
    if not set(map(type, rings)) <= {list}:
        raise IrregularError("no polygon")
    return _list_array(polygons, _list_array(rings, _all_numbers(rings), None), mask)


def _rles(kind: Rle, values: list[Any]) -> Any:
    if dict not in types_of(values):
        return pa.nulls(len(values), kind.type)
    encoded = [_rle(kind, value) for value in values]
    if any(one is None for one, value in zip(encoded, values, strict=True) if type(value) is dict):
        raise IrregularError("no RLE")
    return pa.array(encoded, kind.type)


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


def _all_numbers(lists: list[list[Any]]) -> Any:
    """The numbers of all lists, one after the other, as float64."""
    flat = list(chain.from_iterable(lists))
    types = set(map(type, flat))
    if not types <= {int, float}:
        raise IrregularError("no number")
    array = np.array(flat, np.float64)
    _require_exact(array, types)
    return pa.array(array)


def _require_exact(array: "npt.NDArray[np.float64]", types: set[type]) -> None:
    """Raise unless a float64 holds these numbers, and equals itself."""
    if np.isnan(array).any() or (int in types and (np.abs(array) >= 2**53).any()):
        raise IrregularError("no float64")


@dataclass(frozen=True)
class Encoder:
    """How JSON becomes a column of a kind."""

    takes: frozenset[type]
    """Types of values that may go into it as they are."""
    one: Callable[[Any, Any], Any]
    """Given a kind and a value: what it is read as, None where it can't mean one thing."""
    column: Callable[[Any, list[Any]], Any]
    """Given a kind and values of the types that the key's columns take: the column."""


ENCODERS: Mapping[type[Kind], Encoder] = {
    Integer: Encoder(frozenset({int}), _integer, _scalars),
    Number: Encoder(frozenset({int, float}), _number, _scalars),
    Text: Encoder(frozenset({str}), _text, _scalars),
    Flag: Encoder(frozenset({int}), _flag, _flags),
    Numbers: Encoder(frozenset({list}), _numbers, _number_lists),
    Polygons: Encoder(frozenset({list}), _polygons, _polygon_lists),
    Rle: Encoder(frozenset({dict}), _rle, _rles),
}
"""An encoder for every kind that a field can be of."""
