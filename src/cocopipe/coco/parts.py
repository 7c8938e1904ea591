"""The fields of a COCO document, its long lists some elements at a time."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from cocopipe.coco.json_pieces import NotInPiecesError, pieces
from cocopipe.coco.zips import Entry
from cocopipe.errors import UserError

LISTS = ("images", "annotations")
_CHUNK = 4096
"""Elements of a list that are a part, where the document had to be parsed as a whole."""


@dataclass(frozen=True)
class Part:
    """A field of a document, or some elements of one that is a list."""

    name: str
    is_part: bool
    parse: Callable[[], Any]


Parts = Callable[[Entry], Iterator[Part]]
"""A way to read a file's fields."""


def in_pieces(entry: Entry) -> Iterator[Part]:
    """Read some of the file at a time.

    Raises:
        NotInPiecesError: Found on the way; `as_a_whole` may read it all the same.
    """
    for piece in pieces(entry.blocks(), LISTS):
        yield Part(piece.name, piece.is_part, partial(_parsed, piece.text))


def _parsed(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:
        # Takes what the standard does not allow: NaN, halves of surrogates, endless depth.
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotInPiecesError(str(error)) from error


def as_a_whole(entry: Entry) -> Iterator[Part]:
    """Read the file at once.

    Raises:
        UserError: It is no JSON object.
    """
    content = require_json(entry)
    if not isinstance(content, dict):
        raise UserError(f"{entry.where} is not a COCO document: it has no list of images")
    for name, value in content.items():
        if name not in LISTS or not isinstance(value, list):
            yield Part(name, False, partial(_same, value))
            continue
        for start in range(0, max(1, len(value)), _CHUNK):
            yield Part(name, True, partial(_same, value[start : start + _CHUNK]))


def _same(value: Any) -> Any:
    return value


def require_json(entry: Entry) -> Any:
    """Parse the file.

    Raises:
        UserError: It is not JSON; says where.
    """
    try:
        return json.loads(entry.read())
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(
            f"{entry.where} is not JSON: {error.msg} at {place}; correct the file"
        ) from error
    except (ValueError, RecursionError) as error:  # no Unicode, endless digits, endless depth
        raise UserError(f"{entry.where} is not JSON ({error}): correct the file") from error
