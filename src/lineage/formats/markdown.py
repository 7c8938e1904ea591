"""Markdown in which no name and no value means anything."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lineage.words import visible

_LINKED = re.compile(r"[@#]|:(?=\S)|\bGH(?=-)|\bwww(?=\.)", re.IGNORECASE)
"""Where a mention, an issue, an emoji or an address begins."""

ROWS_SHOWN = 25
"""Of a table; the others are folded."""

EXACT = 1e15
"""Below, a float that is a whole number is shown with all its digits."""


def amounts(before: Any, after: Any) -> str:
    """Two values of one fact, and how far they are apart."""
    if before is None or after is None or before == after:
        return figure(before if after is None else after)
    are_numbers = all(isinstance(each, int | float) for each in (before, after))
    step = f" ({figure(after - before, '+')})" if are_numbers else ""
    return f"{figure(before)} → {figure(after)}{step}"


def figure(value: Any, sign: str = "") -> str:
    """A value as a table has it: digits in groups, floats with six of them."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int():
            return f"{value:{sign},}"
        case float() if value.is_integer() and abs(value) < EXACT:
            return f"{value:{sign},.0f}"
        case float():
            return f"{value:{sign}.6g}"
        case _:
            return escaped(str(value))


def listed(words: Sequence[str]) -> str:
    """Words with commas and an *and*."""
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading and a table; nothing without rows."""
    lines = [_row(row) for row in rows]
    if not lines:
        return ""
    head = [_row(columns), _row(["---"] * len(columns))]
    section = [f"### {title}", "", *head, *lines[:ROWS_SHOWN]]
    if len(lines) > ROWS_SHOWN:
        summary = f"<details><summary>{len(lines) - ROWS_SHOWN} more</summary>"
        section += ["", summary, "", *head, *lines[ROWS_SHOWN:], "", "</details>"]
    return "\n".join(section)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def code(text: str) -> str:
    """A code span."""
    shown = visible(text)
    if not shown:
        return ""
    ticks = fence(shown, 1)
    padding = " " if "`" in (shown[0], shown[-1]) or shown.strip() == "" else ""
    return f"{ticks}{padding}{shown}{padding}{ticks}"


def fence(text: str, least: int) -> str:
    """So many backticks as the text has nowhere in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)


def escaped(text: str) -> str:
    """Text as it is, whatever Markdown or HTML it looks like, and whomever it mentions.

    What GitHub finds in plain text too is parted by an empty comment: it looks there after it
    has taken backslashes and entities away.
    """
    plain = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    plain = re.sub(r"[\\`*_~\[\]#$]", r"\\\g<0>", plain)
    return _LINKED.sub(r"\g<0><!-- -->", plain)


def sentence(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escaped(text)
    return "".join(code(part) if index % 2 else escaped(part) for index, part in enumerate(parts))
