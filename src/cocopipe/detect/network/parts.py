"""What a detector tells of an object beside its category: its box, its mask or its keypoints."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cocopipe.errors import UserError


class Part(StrEnum):
    """One of these, by pycocotools' name for how it is scored."""

    BOX = "bbox"
    MASK = "segm"
    KEYPOINTS = "keypoints"

    @property
    def suffix(self) -> str:
        """What its metrics have behind their names."""
        return "" if self is Part.BOX else f"_{self}"


def parts_of(architecture: str) -> tuple[Part, ...]:
    """Return what a detector tells, boxes first."""
    for family, more in {"maskrcnn": Part.MASK, "keypointrcnn": Part.KEYPOINTS}.items():
        if architecture.startswith(family):
            return Part.BOX, more
    return (Part.BOX,)


@dataclass(frozen=True)
class Keypoints:
    """The points of an object, which are the same ones for all categories."""

    names: tuple[str, ...]
    """As the dataset calls them, in its order."""
    skeleton: tuple[tuple[int, int], ...]
    """Which are joined by a line, as numbers from 1."""

    @property
    def mirrored(self) -> tuple[int, ...]:
        """The point, from 0, that each one is in a mirror: ``left_eye`` the ``right_eye``.

        One whose other side no name tells stays itself.
        """
        place = {_words(name): number for number, name in enumerate(self.names)}
        return tuple(
            place.get(tuple(_OTHER_SIDE.get(word, word) for word in _words(name)), number)
            for number, name in enumerate(self.names)
        )

    @classmethod
    def of(cls, categories: Sequence[Mapping[str, Any]], architecture: str) -> "Keypoints":
        """Return the points that COCO categories name.

        Raises:
            UserError: some category names none, or not as many as the first.
        """
        named = {str(each["name"]): _texts(each.get("keypoints")) for each in categories}
        bare = [name for name, points in named.items() if not points]
        if bare:
            raise UserError(
                f"model {architecture!r} needs keypoints, which category {bare[0]!r} of the dataset"
                " does not name: give the source a person_keypoints document, or use a box detector"
                " such as fasterrcnn_resnet50_fpn"
            )
        (first, points), *others = named.items()
        other = next((name for name, theirs in others if theirs != points), None)
        if other is not None:
            raise UserError(
                f"model {architecture!r} learns the same keypoints for every category, but"
                f" {other!r} has others than {first!r}: keep categories of one kind"
            )
        lines = categories[0].get("skeleton") or []
        return cls(points, tuple(tuple(line) for line in lines if _is_line(line, len(points))))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Keypoints":
        """Read what `dataclasses.asdict` wrote."""
        return cls(tuple(value["names"]), tuple((one, two) for one, two in value["skeleton"]))


_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}


def _words(name: str) -> tuple[str, ...]:
    """``left_eye``, ``LeftEye`` and ``left eye`` are all ("left", "eye")."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[^\W_]+", apart.lower()))


def _is_line(value: Any, points: int) -> bool:
    """Whether this is two numbers of points, from 1."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(end, int) and 1 <= end <= points for end in value)
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
