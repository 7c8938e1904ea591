"""What commands print for people, and take from them."""

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType


def display(*answers: "RenderableType") -> None:
    """Print text and tables."""
    from rich.console import Console

    # What is not a terminal has no width: nothing is cut or wrapped there.
    console = Console(
        soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else 10_000
    )
    for answer in answers:
        console.print(answer, crop=False)


def positive(text: str) -> int:
    """Read a number above 0, as an argument's type."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
