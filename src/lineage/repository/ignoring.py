"""What ``.dvcignore`` files hide, as DVC itself decides it."""

import io
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from dvc.ignore import DvcIgnoreFilter
from dvc_objects.fs.base import FileSystem

from lineage.errors import LineageError, reason
from lineage.words import some


def ignored(paths: Iterable[str], patterns: Mapping[str, bytes]) -> set[str]:
    """Those of the paths that DVC does not look at.

    Args:
        paths: Relative to DVC's root.
        patterns: Path of each ``.dvcignore``, relative to the same -> its content.

    Raises:
        LineageError: If DVC refuses one of them.
    """
    try:
        hides = DvcIgnoreFilter(_FileSystem(patterns), "/").is_ignored_file
        return {path for path in paths if hides(posixpath.join("/", path))}
    except ValueError as error:
        raise LineageError(
            f"DVC refuses {some(sorted(patterns))} ({reason(error)}): correct it, or restore it"
            " from git."
        ) from error


class _FileSystem(FileSystem):  # type: ignore[misc]
    """A repository of which DVC sees only its ``.dvcignore`` files."""

    def __init__(self, patterns: Mapping[str, bytes]) -> None:
        super().__init__()
        self._texts = {
            posixpath.join("/", path): text.decode(errors="replace")
            for path, text in patterns.items()
        }

    def exists(self, path: str) -> bool:
        return path in self._texts

    def walk(self, _path: str) -> Iterator[Any]:
        return iter(())

    def open(self, path: str, *, encoding: str) -> IO[str]:  # noqa: ARG002
        return io.StringIO(self._texts[path])
