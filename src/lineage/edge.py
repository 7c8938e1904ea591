"""The edges of a command: its arguments, its two streams, its exit code.

What is worked on in between prints nothing that a program would take for the answer.
"""

import argparse
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from lineage.console import rendered, silence
from lineage.errors import LineageError, in_a_sentence, reason, tell, tell_uncaught
from lineage.words import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

DISTRIBUTION = "cocopipe"
"""What both commands are installed as."""

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

FAILED = 1
INTERRUPTED = 130
"""Exit codes. The second is of what was ended by Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Said:
    """What a command says when its work is done.

    Attributes:
        answer: For standard output: tables and the like, or text that is written as it is.
        warnings: Sentences for the error stream.
        code: The exit code.
    """

    answer: "RenderableType" = ""
    warnings: Sequence[str] = ()
    code: int = 0

    @property
    def text(self) -> str:
        """What is written to standard output."""
        return self.answer if isinstance(self.answer, str) else rendered(self.answer)


class Parser(argparse.ArgumentParser):
    """Arguments of a command, whose help can be told that there is no room for it."""

    def print_help(self, file: Any = None) -> None:
        """Print the help."""
        write(self.format_help()) if file is None else super().print_help(file)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and end with code 2."""
        super().error(visible(message))


class Version(argparse.Action):
    """``--version``: looked up only where it is asked for, which takes a while."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version, and end")

    def __call__(self, parser: argparse.ArgumentParser, *_of: Any) -> NoReturn:
        """Print it."""
        from importlib.metadata import PackageNotFoundError, version

        try:
            known = version(DISTRIBUTION)
        except PackageNotFoundError:
            known = "of unknown version, since it is not installed"
        write(f"{parser.prog} {known}\n")
        parser.exit()


def carry_out(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    work: Callable[[argparse.Namespace], Said],
    *expected: type[Exception],
) -> int:
    """Do what a command is asked, and say what it came to.

    Args:
        parser: Of its arguments.
        arguments: Those of the process by default.
        work: From the arguments to the answer. Whatever is printed meanwhile, as by MLflow or
            DVC, goes to the error stream.
        expected: Errors beside `LineageError` that are one sentence.

    Returns:
        The exit code. That the reader of the answer went away does not change it; an answer
        that could not be written makes it 1.
    """
    sentences: tuple[type[Exception], ...] = (LineageError, *expected)
    try:
        _prepare()
        options = parser.parse_args(arguments)
        tell_uncaught()
        with in_a_sentence(), _unwritable_in_a_sentence(), redirect_stdout(sys.stderr):
            said = work(options)
        write(said.text)
        for warning in said.warnings:
            tell(parser.prog, warning)
    except sentences as error:
        tell(parser.prog, error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return said.code


@contextmanager
def _unwritable_in_a_sentence() -> Iterator[None]:
    """Say which file may not be written, as DVC's own locks in a clone that is read-only."""
    try:
        yield
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        where = error.filename or "a file"
        raise LineageError(
            f"{where} cannot be written ({error.strerror}): give yourself the right to, make room,"
            " or ask in a clone of your own."
        ) from error


def _prepare() -> None:
    if threading.current_thread() is threading.main_thread():
        # A CI that cancels a job sends this; what is half done is taken back as for Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A file that is opened later must not become one of the three streams that was closed.
    while (unused := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(unused)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write to standard output, to the end.

    A reader that has had enough, such as `head`, is no error.

    Raises:
        LineageError: It is closed, or full.
    """
    if not text:
        return
    try:
        if sys.stdout is None:
            raise OSError("it is closed")
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)
    except (OSError, ValueError) as error:
        if sys.stdout is not None:
            silence(sys.stdout)
        raise LineageError(
            f"the answer cannot be written to standard output ({reason(error)}): make room for it,"
            " or send it elsewhere."
        ) from error
