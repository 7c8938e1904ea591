"""What is told of a conversion: what was left out, turned, or read otherwise than written."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from cocopipe.errors import told

FIRST = 5
"""How many are named of those that a note is of."""


@dataclass(frozen=True)
class Note:
    """A row of the table at the end of the stage.

    Attributes:
        what: Such as ``boxes without area, kept and not used``.
        count: How many.
        which: Where they are, or the first of them.
    """

    what: str
    count: int
    which: str


def note(what: str, names: Iterable[str]) -> list[Note]:
    """A note of these, if there are any."""
    every = list(names)
    return [Note(what, len(every), listed(every, len(every)))] if every else []


def listed(names: Iterable[str], count: int) -> str:
    """The first of so many."""
    shown = ", ".join(islice(names, FIRST))
    return f"{shown} and {count - FIRST:,} more" if count > FIRST else shown


def as_text(notes: Iterable[Note]) -> str:
    """The notes as lines for a terminal."""
    lines = (told(f"{each.count:>9,}  {each.what}: {each.which}") for each in notes)
    return "".join(f"  {line}\n" for line in lines)


def as_markdown(notes: Iterable[Note]) -> str:
    """The notes as a table."""
    rows = [f"| {each.count:,} | {_cell(each.what)} | {_cell(each.which)} |\n" for each in notes]
    if not rows:
        return (
            "# Conversion\n\nNothing was left out, turned, or read otherwise than it was written.\n"
        )
    return "".join(["# Conversion\n\n| how many | what | which |\n|---:|---|---|\n", *rows])


def _cell(text: str) -> str:
    """Text of somebody else's in a cell: no markup, no end of it."""
    spaced = " ".join(text.split()).replace("`", "'").replace("\\", "/")
    return f"`{spaced}`".replace("|", "/") if spaced else ""
