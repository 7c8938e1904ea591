"""Frozen values that are checked when they are made, and the ranges that they keep to."""

from typing import Annotated, TypeVar, cast, dataclass_transform

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True)
def checked(cls: type[_Value]) -> type[_Value]:
    """Make a frozen dataclass whose values must be of its types and ranges.

    A text is no number, and NaN and infinity are none either. To make one of anything else
    is a `pydantic.ValidationError`, a ValueError.
    """
    strict = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return cast("type[_Value]", dataclass(frozen=True, config=strict)(cls))
