"""Answers as JSON: which of a value's attributes ``--json`` prints, under which names."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from operator import attrgetter
from pathlib import PurePath
from typing import Any, ClassVar


@dataclass(frozen=True)
class Answer:
    """A dataclass that a question is answered with, or a part of one.

    Attributes:
        json_names: What JSON has, in this order: names of attributes, or ``name=attribute``, with
            dots where it is an attribute of an attribute. By default the class's own fields.
    """

    json_names: ClassVar[tuple[str, ...]] = ()

    def as_dict(self, *names: str) -> dict[str, Any]:
        """As JSON has it; of a value that is part of another, perhaps only these names."""
        every = names or self.json_names or [field.name for field in fields(self)]
        pairs = [name.partition("=") for name in every]
        return {name: plain(attrgetter(value or name)(self)) for name, _, value in pairs}


def json_text(value: Any) -> str:
    """An answer, or values with answers in them, as JSON in the strict sense.

    In ASCII: so it is exact in every encoding, and no letter in it means anything to a terminal.
    """
    return json.dumps(plain(value), indent=2, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """A value as JSON has it, which knows no infinity and no NaN: they are text."""
    match value:
        case Answer():
            return value.as_dict()
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case PurePath():
            return str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value
