"""Templates of a ``dvc.yaml``, filled in by DVC itself; the one module here that starts with it."""

import io
import logging
import posixpath
import re
from collections.abc import Hashable, Mapping
from types import SimpleNamespace
from typing import IO, Any, Protocol

from dvc.exceptions import DvcException
from dvc.parsing import DataResolver
from dvc_objects.fs.base import FileSystem

from lineage.errors import LineageError, reason
from lineage.repository import dvc_yaml

# What DVC warns of, its own commands tell; here it would be once a revision.
logging.getLogger("dvc.parsing").setLevel(logging.ERROR)

NOT_YAML = (".json", ".toml", ".py")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class Files(Protocol):
    """The files of one revision, by their paths relative to the git root."""

    def identity(self, path: str) -> Hashable | None:
        """What is equal for equal contents of a file; None where no file is there."""

    def text(self, path: str) -> bytes:
        """The content of a file that is there."""


def resolve(content: Mapping[str, Any], path: str, files: Files) -> dict[str, Any]:
    """Fill in the templates of a pipeline file.

    Args:
        content: The file, parsed.
        path: Its name, relative to the git root.
        files: Where ``params.yaml`` and the files that ``vars`` name are.

    Returns:
        Name -> definition of every stage, those of ``foreach`` and ``matrix`` one by one.

    Raises:
        LineageError: If DVC refuses it.
    """
    # DVC's config says how a dictionary is spelled in a command, which the lock has.
    repository = SimpleNamespace(fs=_FileSystem(files), config={})
    try:
        resolver = DataResolver(repository, posixpath.dirname(path), content)
        return {name: resolver.resolve_one(name)[name] for name in resolver.get_keys()}
    except (DvcException, AttributeError, *dvc_yaml.PYTHONS_OWN) as error:
        raise LineageError(
            f"DVC cannot resolve the stages of {path} ({_plain(error)}): correct it, or restore it"
            " from git."
        ) from error


def _plain(error: Exception) -> str:
    said = str(error) or "it is not as DVC wants it"
    return reason(ValueError(_COLOURS.sub("", said)))


class _FileSystem(FileSystem):  # type: ignore[misc]
    """What DVC reads the files of a revision through."""

    def __init__(self, files: Files) -> None:
        super().__init__()
        self._files = files

    def exists(self, path: str) -> bool:
        return self._files.identity(path) is not None

    def isdir(self, _path: str) -> bool:
        return False  # `exists` says of folders that they are not there

    def open(self, path: str, *, encoding: str) -> IO[str]:
        text = self._files.text(path)
        if self.suffix(path).lower() not in NOT_YAML:
            dvc_yaml.refuse_endless(text, path)
        return io.TextIOWrapper(io.BytesIO(text), encoding)
