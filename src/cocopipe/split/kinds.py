"""What the columns of COCO's fields hold: a kind each for numbers, texts, boxes, segmentations.

A kind says what Arrow stores and how that is COCO's JSON again. How JSON becomes it, where it
does so without loss, is :mod:`cocopipe.convert.encode`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa

# Not of fixed size where the length is known: Arrow writes a fixed-size list that is
# null to Parquet, but can't read it again (25.0).
_FLOATS = pa.list_(pa.float64())

_INTEGERS = {32: pa.int32(), 64: pa.int64()}


@dataclass(frozen=True)
class Kind(ABC):
    """What a column holds; each subclass is one."""

    is_as_written: ClassVar[bool] = True
    """Whether the column has what JSON has, so that `decode` changes nothing."""

    @property
    @abstractmethod
    def type(self) -> pa.DataType:
        """The type that Arrow stores."""

    def decode(self, value: Any) -> Any:
        """COCO's JSON for what the column has, which is not null: the same, for most kinds."""
        return value


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number of 32 or 64 bits."""

    bits: int

    @property
    def type(self) -> pa.DataType:
        """An integer of so many bits."""
        return _INTEGERS[self.bits]


@dataclass(frozen=True)
class Number(Kind):
    """A number that a float64 holds."""

    @property
    def type(self) -> pa.DataType:
        """A float64."""
        return pa.float64()


@dataclass(frozen=True)
class Text(Kind):
    """Text that UTF-8 holds."""

    @property
    def type(self) -> pa.DataType:
        """A string."""
        return pa.string()


@dataclass(frozen=True)
class Flag(Kind):
    """A 0 or 1, which stands for no or yes."""

    is_as_written: ClassVar[bool] = False

    @property
    def type(self) -> pa.DataType:
        """A bool."""
        return pa.bool_()

    def decode(self, value: bool) -> int:
        """COCO's 0 or 1."""
        return int(value)


@dataclass(frozen=True)
class Numbers(Kind):
    """A list of numbers that a float64 holds, of this length or of any."""

    length: int | None = None

    @property
    def type(self) -> pa.DataType:
        """A list of float64."""
        return _FLOATS


@dataclass(frozen=True)
class Polygons(Kind):
    """A segmentation by its outlines: x, y, x, y, … each."""

    @property
    def type(self) -> pa.DataType:
        """A list of lists of float64."""
        return pa.list_(_FLOATS)


@dataclass(frozen=True)
class Rle(Kind):
    """A segmentation by runs of pixels."""

    is_as_written: ClassVar[bool] = False

    @property
    def type(self) -> pa.DataType:
        """A struct of the mask's size, and the runs in one of two forms."""
        return pa.struct(
            [
                pa.field("size", pa.list_(pa.int32())),  # height, width
                pa.field("counts", pa.string()),  # compressed, as pycocotools writes it
                pa.field("runs", pa.list_(pa.int64())),  # uncompressed
            ]
        )

    def decode(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """COCO's size and counts, a text or a list."""
        counts = value["counts"] if value["runs"] is None else value["runs"]
        return {"size": value["size"], "counts": counts}
