"""What commands print for people, and take from them."""

import argparse
import io
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

from lineage.words import visible

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment


def rendered(answer: "RenderableType") -> str:
    """Text and tables as standard output shows them, colours included where it is a terminal.

    Whatever they are made of, no text in them is taken for markup or for a symbol, and none
    reaches the terminal that it would obey.
    """
    from rich.console import Console

    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    drawn = io.TextIOWrapper(io.BytesIO(), encoding, errors="backslashreplace", newline="\n")
    console = Console(
        file=drawn,
        force_terminal=is_terminal or None,
        soft_wrap=True,
        highlight=False,
        markup=False,
        emoji=False,
        # What is not a terminal has no width: nothing is cut or wrapped there.
        width=None if is_terminal else 10_000,
    )
    console.print(_Visible(answer), crop=False)
    drawn.seek(0)
    return drawn.read()


class _Visible:
    """An answer in which nothing is left that a terminal obeys, whoever forgot to see to it."""

    def __init__(self, answer: "RenderableType") -> None:
        self._answer = answer

    def __rich_console__(
        self, console: "Console", options: "ConsoleOptions"
    ) -> "Iterator[Segment]":
        for segment in console.render(self._answer, options):
            text = visible(segment.text, keep="\n")
            yield segment if segment.control else segment._replace(text=text)


def silence(stream: TextIO) -> None:
    """Send what a stream still holds, which Python writes when it ends, to nowhere."""
    with suppress(OSError, ValueError):  # in tests, a stream may be no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def positive(text: str) -> int:
    """Read a number above 0, as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
