"""The errors a user can cause."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from traceback import format_exception
from types import TracebackType

from lineage import environment
from lineage.console import silence
from lineage.words import visible

FOREIGN = {
    "mlflow.exceptions": ("MlflowException", "MLflow"),
    "dvc.exceptions": ("DvcException", "DVC"),
    "pygit2": ("GitError", "git"),
    "sqlalchemy.exc": ("SQLAlchemyError", "the tracking store's database"),
    "requests.exceptions": ("RequestException", "a server"),
    "google.protobuf.json_format": ("Error", "the tracking server's answer"),
}
"""Module -> the root of its exceptions, and who says so."""

_NO_PORT = r"(?!\d{1,5}(?:[/?#,;)\s'\"]|$))"
"""What follows the colon is not the number of a port, but a password, which may have slashes."""

_URL = re.compile(
    rf"^\s*(\w[\w+.-]*://)(?:[^/]*@|[^:/?@\[]+:{_NO_PORT}[^@]{{0,200}}@)?([^?#]*)(?:\?([^#]*))?.*",
    re.DOTALL,
)
_URL_AMONG_WORDS = re.compile(
    # The slashes of JSON may have backslashes.
    r"(\w:\\?/\\?/)"
    # A quote before a comma and the like ends the URL, else it belongs to the password.
    r"(?:(?:[^/\s\"]|\"(?!\s*[,:}\]]))*@"
    rf"|[^:/?\s@\"'\[]+:{_NO_PORT}(?:(?!://)[^@\s\"'<>]){{0,200}}@)?"
    r"((?:(?!\w://)[^\s?'\"])*)"
    r"(?:\?((?:[^\s'\"\\]|\\(?!['\"]))*))?"
)
_ENCODED_URL = re.compile(r"(\w%3a%2f%2f)(?:(?!%2f)[^\s'\"/])*%40", re.IGNORECASE)


class LineageError(Exception):
    """One sentence that says what is wrong, where, and what to do about it."""

    def __str__(self) -> str:
        return told(super().__str__())


class AwayError(LineageError):
    """A tracking store that is away, in a stage that can do without it until later."""


class SaidByOthersError(LineageError):
    """What DVC, MLflow, git or a database raised by themselves, or a stage's own use of them."""


@contextmanager
def in_a_sentence() -> Iterator[None]:
    """Turn what DVC, MLflow and git raise by themselves into a `LineageError`."""
    environment.send_nothing()
    try:
        yield
    except foreign() as error:
        raise SaidByOthersError(_sentence(error)) from error


def _sentence(error: Exception) -> str:
    """What others raised, and what to do where a server went away meanwhile."""
    gone = re.match(r"API request to (\w+://\S+?)/api/\S* failed with exception", str(error))
    if gone:
        return (
            f"the tracking server at {bare_url(gone[1])} no longer answers"
            f" ({reason(_first(error))}): start it again, and repeat the command."
        )
    who = next(name for kind, name in _foreign().items() if isinstance(error, kind))
    return f"{who}: {reason(error)}"


def _first(error: BaseException) -> BaseException:
    """The error that all others came of."""
    while error.__context__ is not None:
        error = error.__context__
    return error


@cache
def tell_uncaught() -> None:
    """From now on, a `LineageError` that nobody catches is printed as its sentence alone.

    The process ends with code 1, as for any error. What others said keeps its traceback, since
    it may come from a line of the stage's own, but not the credentials in it. So do warnings.
    """
    import logging  # asking for help should not wait for it

    def as_told(record: logging.LogRecord) -> bool:
        record.msg, record.args = told(record.getMessage()), ()
        return True

    logging.getLogger("lineage").addFilter(as_told)
    shown_before = sys.excepthook

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, LineageError) and not isinstance(error, SaidByOthersError):
            tell("lineage", error)
            return
        lines = "".join(format_exception(error))
        clean = told(lines, keep="\n\t")
        # A hook of the script's own may send it elsewhere.
        is_ours = isinstance(error, SaidByOthersError) or shown_before is sys.__excepthook__
        if is_ours and clean != lines:
            _complain(clean)
        else:
            shown_before(kind, error, trace)

    sys.excepthook = show


def tell(who: str, sentence: object) -> None:
    """Say a sentence on the error stream, if there is one that takes it."""
    _complain(f"{who}: {told(str(sentence))}\n")


def _complain(text: str) -> None:
    if sys.stderr is not None:  # as it is where the process was started without one
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            silence(sys.stderr)


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
    words = re.search(r"\[Errno -?\d+\] ([\w ,-]+)", str(error))
    return words[1] if words else without_secrets(" ".join(str(error).split()))[:300]


def told(text: str, keep: str = "") -> str:
    """Text that others had a part in, as a terminal or a file may have it.

    Args:
        text: Such as a sentence with a name in it.
        keep: Letters that stay though they can't be seen, such as line breaks.
    """
    return visible(without_secrets(text), keep)


def without_secrets(text: str, mark: Callable[[str], str] = lambda _query: "") -> str:
    """The text with user names, passwords and queries taken out of the URLs among its words.

    Args:
        text: With any number of URLs in it.
        mark: As of `bare_url`.
    """

    def bare(found: re.Match[str]) -> str:
        query = mark(found[3]) if found[3] else ""
        return f"{found[1]}{found[2]}{'?' if query else ''}{query}"

    return _ENCODED_URL.sub(r"\1", _URL_AMONG_WORDS.sub(bare, text))


def bare_url(url: str, mark: Callable[[str], str] = lambda _query: "") -> str:
    """One URL, blanks and quotes in it and all, without user, password and fragment.

    Args:
        url: It; what is no URL stays as it is.
        mark: Makes of a query what may stand in its place; nothing by default.
    """
    found = _URL.match(url)
    if found is None:
        # Such as jdbc:postgresql://, and git's own way::https://.
        return without_secrets(url, mark)
    query = mark(found[3]) if found[3] else ""
    return f"{found[1].lower()}{found[2]}{'?' if query else ''}{query}"
