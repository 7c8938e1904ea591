"""What is told of values that are not written as COCO has them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cocopipe.coco.values import written
from cocopipe.convert.notes import FIRST, Note, listed
from cocopipe.documents import ABSENT
from cocopipe.split.fields import Field, Row


@dataclass
class Readings:
    """How many values were read otherwise than they were written, and which could not be."""

    otherwise: Counter[str] = field(default_factory=Counter)
    """What was read, such as ``bbox as text`` -> how often."""
    unread: Counter[str] = field(default_factory=Counter)
    """The fields of values that can't mean one thing -> how many; they are kept, and not used."""
    first_ids: dict[str, list[int]] = field(default_factory=dict)
    """The ids of the first of those."""

    def note(
        self,
        entry: Mapping[str, Any],
        row: Row,
        lost: Mapping[str, Any],
        fields: tuple[Field, ...],
    ) -> None:
        """Note what became of an entry.

        Args:
            entry: as it was read.
            row: its columns.
            lost: what of it the columns would not give back as it is.
            fields: those that it may have.
        """
        for name in lost.get(ABSENT, ()):
            self.otherwise[f"{name} from coco_url"] += 1
        as_written = written(entry)
        for name in dict.fromkeys([*(each.key for each in fields), "image_id"]):
            if name not in lost or as_written.get(name) is None:
                continue
            columns = [each.column for each in fields if each.key == name]
            if columns and all(row[column] is None for column in columns):
                self.unread[name] += 1
                if len(ids := self.first_ids.setdefault(name, [])) < FIRST:
                    ids.append(entry["id"])
            elif how := _how(as_written[name]):
                self.otherwise[f"{name} {how}"] += 1

    def __iadd__(self, others: "Readings") -> "Readings":
        self.otherwise.update(others.otherwise)
        self.unread.update(others.unread)
        for name, ids in others.first_ids.items():
            self.first_ids[name] = (self.first_ids.get(name, []) + ids)[:FIRST]
        return self

    def notes(self, split: str, kind: str) -> list[Note]:
        """What is to be told of entries of this kind, such as annotations, of a split."""
        read = [
            Note(f"{how}, read as what it means", count, split)
            for how, count in self.otherwise.items()
        ]
        return read + [
            Note(
                f"{name} that can't be read, kept and not used",
                count,
                f"{kind} {listed(map(str, self.first_ids[name]), count)} of {split}",
            )
            for name, count in self.unread.items()
        ]


def _how(value: Any) -> str | None:
    """How a value was written that was read as something else; None of NaN, which is itself."""
    match value:
        case bool():
            return "as true or false"
        case str():
            return "as text"
        case float() if value.is_integer():
            return "as 1.0"
        case dict():
            return "as an object"
        case list():
            if any(isinstance(each, str) for each in _flat(value)):
                return "as text"
            return "as a flat list" if value and not isinstance(value[0], list) else None
    return None


def _flat(value: list[Any]) -> list[Any]:
    return [one for each in value for one in (_flat(each) if isinstance(each, list) else [each])]
