"""YAML as DVC reads it."""

import re
from collections.abc import Mapping
from contextlib import suppress
from errno import EINVAL
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError, reason
from lineage.places import is_file, is_folder, is_there

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

_TOO_DEEP = f"more than {DEEPEST} levels of it lie in each other"
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
        if _is_deep(content):
            raise _unreadable(text, path, _TOO_DEEP)
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


@cache
def bound_dvc() -> None:
    """From now on, DVC's own reader refuses what is too deep, too, and what never ends.

    It reads more than the files that say what it tracks: params, metrics, what `vars` names, and
    the objects of its cache. A device or a pipe among them would take all memory, or the process.
    """
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml
    from dvc_objects.fs.local import FsspecLocalFileSystem
    from ruamel.yaml.error import YAMLError

    read = _yaml.parse_yaml

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        with suppress(YAMLError):  # which the reader will say
            if _is_deep(text):
                raise _unreadable(text, path, _TOO_DEEP)
        data = read(text, path, typ)
        if "&" in text and "*" in text:  # aliases, perhaps
            refuse_endless(data, path)
        return data

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_yaml

    opened = FsspecLocalFileSystem.open

    def open_file(self: Any, path: str, mode: str = "r", **options: Any) -> Any:
        if mode.startswith("r") and _has_no_end(Path(path)):
            raise OSError(EINVAL, "it is no file", path)
        return opened(self, path, mode, **options)

    FsspecLocalFileSystem.open = open_file


def _has_no_end(place: Path) -> bool:
    """Whether what lies there is neither a file nor a folder; one look where it is a file."""
    return not (is_file(place) or is_folder(place)) and is_there(place)


def refuse_endless(read: Mapping[str, Any] | bytes, path: str) -> None:
    """Refuse what is too deep, or too large with its aliases written out, for DVC to go through.

    Args:
        read: A file's content, or what was parsed of it.
        path: The file, for the error.

    Raises:
        LineageError: If it is.
    """
    if isinstance(read, bytes):
        may_repeat = b"&" in read and b"*" in read
        if not may_repeat and not _may_be_deep(read.decode(errors="replace")):
            return
        read = parse(read, path)
    if _values_in(read, {}) > LARGEST:
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
