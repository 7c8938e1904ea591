"""YAML as DVC reads it."""

import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError, reason

if TYPE_CHECKING:
    from ruamel.yaml import YAML

PYTHONS_OWN = (
    ValueError,  # the 31st of June
    TypeError,  # a list of lists as a key
    LookupError,  # `!!bool maybe`
    OverflowError,  # a time past the year 9999
    AssertionError,  # `%YAML 1.3`
    RecursionError,
)
"""What ruamel.yaml lets through of the errors that Python raises on a file's content."""

DEEPEST = 1000
"""Levels of nesting that are read. Past several thousand, the loader in C would take the whole
process down (ruamel.yaml.clib 0.2.15), and the one in Python would go on for minutes."""

LARGEST = 1_000_000
"""Values that a file may hold with its aliases written out: a few lines can stand for more than
any memory holds."""

_INDENTED = re.compile(rf"^[ \t?:-]{{{DEEPEST}}}", re.MULTILINE)
_CONFLICT = re.compile(r"^<{7}( |$)", re.MULTILINE)


def parse(text: str | bytes, path: str) -> dict[Any, Any]:
    """Read a YAML file, such as ``dvc.lock``, exactly as DVC reads it.

    Args:
        text: The content; UTF-8 where it is bytes.
        path: What the content is named in errors, a file's path.

    Returns:
        The mapping; empty for an empty text.

    Raises:
        LineageError: If the text is malformed, has merge conflicts, or is no mapping.
    """
    from ruamel.yaml.error import YAMLError

    try:
        content = text.decode() if isinstance(text, bytes) else text
        # As `dvc.utils.serialize.parse_yaml` does, whose import alone would take 0.4 s.
        refuse_deep(content, path)
        read = _loader().load(content) or {}
    except YAMLError as error:
        raise _unreadable(text, path, _problem(error)) from error
    except PYTHONS_OWN as error:
        raise _unreadable(text, path, reason(error)) from error
    if not isinstance(read, dict):
        raise _unreadable(text, path, f"it holds a {type(read).__name__}, not a mapping")
    return read


def _loader() -> "YAML":
    """DVC's loader, which looks up once and not at every value what version of YAML it reads.

    ruamel.yaml does so by way of two exceptions: a third of the time that a lock takes.
    """
    from ruamel.yaml import YAML

    loader = YAML(typ="safe")
    loader.Resolver = _resolver()
    return loader


@cache
def _resolver() -> type:
    from ruamel.yaml.resolver import VersionedResolver

    class OneVersion(VersionedResolver):
        @cached_property
        def versioned_resolver(self) -> Any:
            return super().versioned_resolver

    return OneVersion


def refuse_deep(text: str, path: str) -> None:
    """Refuse what is nested deeper than `DEEPEST`, for whoever parses it.

    Args:
        text: A file's content.
        path: The file, for the error.

    Raises:
        LineageError: If it is.
        ruamel.yaml.error.YAMLError: If it looks as if it were, and is malformed before that.
    """
    if _is_deep(text):
        raise _unreadable(text, path, f"more than {DEEPEST} levels of it lie in each other")


def refuse_endless(text: str | bytes, path: str, read: Mapping[str, Any] | None = None) -> None:
    """Refuse what is too deep, or too large with its aliases written out, for DVC to go through.

    Args:
        text: A file's content.
        path: The file, for the error.
        read: What was parsed of it, where that is done: it is not too deep, then.

    Raises:
        LineageError: If it is.
    """
    content = text.decode(errors="replace") if isinstance(text, bytes) else text
    has_aliases = "&" in content and "*" in content  # perhaps; DVC writes none
    if not has_aliases and (read is not None or not _may_be_deep(content)):
        return
    try:
        values = _values_in(parse(text, path) if read is None else read, {})
    except RecursionError as error:
        raise _unreadable(text, path, reason(error)) from error
    if values > LARGEST:
        raise LineageError(
            f"{path} holds more than {LARGEST:,} values with its aliases written out: write it"
            " without them."
        )


def _values_in(value: Any, known: dict[int, int]) -> int:
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = LARGEST  # of what holds itself, there is no end
        inside = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_values_in(each, known) for each in inside)
    return known[id(value)]


def _may_be_deep(text: str) -> bool:
    """Whether something may be nested deeper than `DEEPEST`; what DVC writes hardly ever is."""
    return text.count("[") + text.count("{") > DEEPEST or bool(_INDENTED.search(text))


def _is_deep(text: str) -> bool:
    """Whether something is: without building any of it."""
    if not _may_be_deep(text):
        return False
    from ruamel.yaml import YAML
    from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            return True
    return False


def _problem(error: Exception) -> str:
    """What ruamel.yaml found wrong, and in which line where it says so."""
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {reason(YAMLError(error.problem))}"
    return reason(error)


def _unreadable(text: str | bytes, path: str, problem: str) -> LineageError:
    content = text.decode(errors="replace") if isinstance(text, bytes) else text
    if _CONFLICT.search(content):
        return LineageError(
            f"{path} has git merge conflict markers: take one side with `git checkout --ours "
            f"{path}` or `git checkout --theirs {path}`, then run `dvc repro`, or "
            "`dvc checkout` to get the data of that side."
        )
    return LineageError(
        f"{path} cannot be read as DVC's YAML ({problem}): correct it, or restore it from git."
    )
