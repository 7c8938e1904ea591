"""The errors a user can cause."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from traceback import format_exception
from types import TracebackType

from lineage import environment

FOREIGN = {
    "mlflow.exceptions": ("MlflowException", "MLflow"),
    "dvc.exceptions": ("DvcException", "DVC"),
    "pygit2": ("GitError", "git"),
    "sqlalchemy.exc": ("SQLAlchemyError", "the tracking store's database"),
    "requests.exceptions": ("RequestException", "a server"),
    "google.protobuf.json_format": ("Error", "the tracking server's answer"),
}
"""Module -> the root of its exceptions, and who says so."""

_URL = re.compile(r"^(\w[\w+.-]*://)(?:[^/]*@)?([^?#]*)(?:\?([^#]*))?.*", re.DOTALL)
_URL_AMONG_WORDS = re.compile(r"(\w://)(?:[^/\s]*@)?((?:(?!\w://)[^\s?'\"])*)(?:\?[^\s'\"]*)?")


class LineageError(Exception):
    """One sentence that says what is wrong, where, and what to do about it."""


class SaidByOthersError(LineageError):
    """What DVC, MLflow, git or a database raised by themselves, or a stage's own use of them."""


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Turn what DVC, MLflow and git raise by themselves into a `LineageError`."""
    environment.send_nothing()
    try:
        yield
    except foreign() as error:
        who = next(name for kind, name in _foreign().items() if isinstance(error, kind))
        raise SaidByOthersError(f"{who}: {reason(error)}") from error


@cache
def tell_uncaught() -> None:
    """From now on, a `LineageError` that nobody catches is printed as its sentence alone.

    The process ends with code 1, as for any error. What others said keeps its traceback, since
    it may come from a line of the stage's own, but not the credentials in it.
    """
    shown_before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, SaidByOthersError):
            sys.stderr.write(without_secrets("".join(format_exception(error))))
        elif isinstance(error, LineageError):
            sys.stderr.write(f"lineage: {error}\n")
        else:
            shown_before(kind, error, trace)

    sys.excepthook = show


def foreign() -> tuple[type[Exception], ...]:
    """What DVC, MLflow, git, databases and servers raise, of those that are in use."""
    return tuple(_foreign())


def _foreign() -> dict[type[Exception], str]:
    """Exceptions of those modules that are in use; importing them takes seconds."""
    return {
        getattr(sys.modules[module], root): who
        for module, (root, who) in FOREIGN.items()
        if hasattr(sys.modules.get(module), root)
    }


def reason(error: BaseException) -> str:
    """What an error says, in one line and without the credentials of URLs in it.

    The system's own words where there are any, such as `Connection refused`.
    """
    words = re.search(r"\[Errno -?\d+\] ([\w ,]+)", str(error))
    return words[1] if words else without_secrets(" ".join(str(error).split()))[:300]


def without_secrets(text: str) -> str:
    """The text with user names, passwords and queries taken out of the URLs among its words."""
    return _URL_AMONG_WORDS.sub(r"\1\2", text)


def bare_url(url: str, mark: Callable[[str], str] = lambda _query: "") -> str:
    """One URL, blanks and quotes in it and all, without user, password and fragment.

    Args:
        url: It; what is no URL stays as it is.
        mark: Makes of a query what may stand in its place; nothing by default.
    """
    found = _URL.match(url)
    if found is None:
        return url
    query = mark(found[3]) if found[3] else ""
    return f"{found[1].lower()}{found[2]}{'?' if query else ''}{query}"
