"""Values as tools write them, where they can mean one thing.

Some write numbers as text, some ids as 1.0. What is read so is kept as it was written beside it,
so that it is written again as it was.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from cocopipe.coco.paths import path_of
from cocopipe.documents import ABSENT

INT64 = range(-(2**63), 2**63)

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)


class Reread(dict[str, Any]):
    """An entry of a document with values as they were read; `written` has them as they were."""

    def __init__(self, entry: Mapping[str, Any], **read: Any) -> None:
        super().__init__({**entry, **read})
        self.written = {**written(entry)}
        added = sorted(read.keys() - self.written.keys())
        if added:
            self.written[ABSENT] = [*self.written.get(ABSENT, ()), *added]


def written(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """An entry as the document has it."""
    return entry.written if isinstance(entry, Reread) else entry


def number(value: Any) -> int | float | None:
    """A number that a float64 holds, also from text; None for anything else."""
    if type(value) is str and _NUMBER.fullmatch(value):
        value = float(value)
        return value if math.isfinite(value) else None
    if type(value) is float:
        return value
    return value if type(value) is int and abs(value) <= 2**53 else None


def integer(value: Any) -> int | None:
    """A whole number of 64 bits, also where it is a float or text; None for anything else."""
    if type(value) is str and re.fullmatch(r"[+-]?\d{1,19}", value.strip(), re.ASCII):
        value = int(value)
    elif type(value) is not int:
        found = number(value)
        value = int(found) if found is not None and _is_whole(found) else None
    return value if value is not None and value in INT64 else None


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and value == int(value) and abs(value) < 2**53


def file_name(image: Mapping[str, Any]) -> str | None:
    """What an image is called that has no name of its own but an address, as LVIS writes it."""
    url = image.get("coco_url")
    return path_of(url).rpartition("/")[2] if isinstance(url, str) and url else None
