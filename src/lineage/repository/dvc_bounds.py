"""What DVC's own reading is kept from, where it reads for us: what never ends."""

from contextlib import suppress
from errno import EINVAL
from functools import cache
from pathlib import Path
from typing import Any

from lineage.places import is_file, is_folder, is_there
from lineage.repository.dvc_yaml import refuse_deep, refuse_endless


@cache
def bound_dvc() -> None:
    """From now on, DVC refuses what is too deep, what never ends, and what is no file.

    It reads more than the files that say what it tracks: params, metrics, what `vars` names, and
    the objects of its cache. A device or a pipe among them would take all memory, or the process.
    """
    _bound_yaml()
    _bound_files()


def _bound_yaml() -> None:
    from dvc.utils import strictyaml
    from dvc.utils.serialize import _yaml
    from ruamel.yaml.error import YAMLError

    read = _yaml.parse_yaml

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        with suppress(YAMLError):  # which the reader will say
            refuse_deep(text, path)
        data = read(text, path, typ)
        refuse_endless(text, path, data)
        return data

    _yaml.parse_yaml = strictyaml.parse_yaml = parse_yaml


def _bound_files() -> None:
    from dvc_objects.fs.local import FsspecLocalFileSystem

    opened = FsspecLocalFileSystem.open

    def open_file(self: Any, path: str, mode: str = "r", **options: Any) -> Any:
        if mode.startswith("r") and _has_no_end(Path(path)):
            raise OSError(EINVAL, "it is no file", path)
        return opened(self, path, mode, **options)

    FsspecLocalFileSystem.open = open_file


def _has_no_end(place: Path) -> bool:
    """Whether what lies there is neither a file nor a folder; one look where it is a file."""
    return not (is_file(place) or is_folder(place)) and is_there(place)
