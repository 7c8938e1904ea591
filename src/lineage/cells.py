"""Cells and lines that answers are shown in, and tables of them."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from lineage import words
from lineage.words import DIGITS_IN_TABLES, visible


def shown(text: str, style: str = "") -> Text:
    """Text as it is, whoever wrote it: no markup, no symbols, nothing that a terminal obeys."""
    return Text(visible(text), style=style)


def joined(*parts: str | Text) -> Text:
    """Texts one after the other."""
    return Text.assemble(*map(cell, parts))


def cell(part: str | Text) -> Text:
    """What stands in a cell."""
    return shown(part) if isinstance(part, str) else part


def shortened(digest: str) -> str:
    """A hash or id as tables have it."""
    return words.short(digest, DIGITS_IN_TABLES)


def size(size_bytes: int | None) -> str:
    """Bytes in the unit that suits them; powers of 1000."""
    if size_bytes is None:
        return ""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def in_table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """Rows below the names of their columns."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        is_number = column in ("files", "bytes", "runs", "models")
        made.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        made.add_row(*map(cell, row))
    return made


def in_line(first: Text, *others: str | Text) -> Text:
    """Those of the texts that are not empty, side by side."""
    texts = [first, *map(cell, others)]
    return shown("  ").join(text for text in texts if text.plain)
