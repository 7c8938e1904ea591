"""Values: something that a stage reads or writes, and a stage with all of those."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from lineage.errors import without_secrets
from lineage.identity import HASH_KEYS, DataId, Execution, StageId, digits_of, from_root


@dataclass(frozen=True)
class Item:
    """Something a stage reads or writes, at one moment.

    Attributes:
        path: Its name, see `Workspace.name_of`.
        location: Where it is on this machine.
        hash: The DVC hash, with ``.dir`` for a folder.
        kind: ``code`` (git keeps it), or what DVC keeps: ``dataset``, ``model``,
            ``report``; as annotated with ``type:`` in ``dvc.yaml``.
        labels: The ``labels:`` of its annotation.
        size_bytes: Of all its files together.
        files: How many files it is.
        unpushed: Why ``dvc push`` does not bring it to the remote; empty where it does.
    """

    path: str
    location: Path
    hash: str
    kind: str
    labels: tuple[str, ...]
    size_bytes: int
    files: int
    unpushed: str = ""

    @property
    def id(self) -> DataId:
        """Its bytes at its path."""
        return DataId(self.path, self.hash)

    @property
    def name(self) -> str:
        """What a stage calls it: the last part of its path, without a suffix."""
        return PurePosixPath(self.path).stem


KINDS_OF_HASH = (None, "md5-dos2unix", *HASH_KEYS)
"""What DVC can say that a hash is; the first two are those of before DVC 3."""

SIZES = ("size", "nfiles")
"""What a lock says of an amount of data, beside its hash."""


def check_written(item: Mapping[str, Any]) -> None:
    """Refuse what is no dependency or output as DVC writes it, into a lock or ``.dvc`` file.

    Raises:
        TypeError: If something of it is of another kind.
        ValueError: If something of it cannot be.
    """
    check_path(item["path"])
    if not all(isinstance(item.get(key), str | int | None) for key in HASH_KEYS):
        raise TypeError("a hash is text")
    if item.get("hash") not in KINDS_OF_HASH:
        raise ValueError("no kind of hash that DVC has")
    for key in SIZES:
        amount = item.get(key)
        if amount is not None and (type(amount) is not int or amount < 0):
            raise ValueError(f"{key} is no amount")


def check_path(path: object) -> None:
    """Refuse what no file can be called; `check_written` says what is raised."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise ValueError("no path")
    os.fsencode(path)


def check_annotations(flags: Mapping[str, Any]) -> None:
    """Refuse annotations of an output that DVC would refuse; `check_written` says how."""
    labels = flags.get("labels") or []
    if not isinstance(flags.get("type") or "", str) or not isinstance(labels, list):
        raise TypeError("a type is text, and labels are a list")
    if not all(isinstance(label, str) for label in labels):
        raise TypeError("labels are texts")


def files_of(counted: Any) -> int:
    """How many files something is; DVC counts those of folders alone, and none in an empty one."""
    return 1 if counted is None else int(counted)


def why_unpushed(flags: Mapping[str, Any]) -> str:
    """Why ``dvc push`` passes over an output with these flags; empty where it does not."""
    if flags.get("cache") is False:
        return "cache: false"
    return "push: false" if flags.get("push") is False else ""


@dataclass(frozen=True)
class Observed:
    """A stage with everything that went in and came out, running or read from a lock.

    Attributes:
        execution: Its identity.
        command: With templates filled in, and without what in its URLs may be a secret.
        params: Declared params: file relative to the git root -> key -> value; the same of them.
        deps: What it reads, in the order of ``dvc.yaml``.
        outs: What it wrote; empty while it runs.
    """

    execution: Execution
    command: str | list[str]
    params: Mapping[str, Mapping[str, Any]]
    deps: tuple[Item, ...]
    outs: tuple[Item, ...]

    @classmethod
    def of_entry(
        cls,
        stage: StageId,
        entry: Mapping[str, Any],
        wdir: str,
        deps: tuple[Item, ...],
        outs: tuple[Item, ...],
    ) -> "Observed":
        """Read an entry of ``dvc.lock``, or the same made by a running stage."""
        return cls(
            Execution.from_lock_entry(stage, entry, wdir),
            _without_secrets(entry["cmd"]),
            {
                from_root(file, wdir): _without_secrets(values)
                for file, values in (entry.get("params") or {}).items()
            },
            deps,
            outs,
        )


def _without_secrets(value: Any) -> Any:
    """The value with a hash in place of each URL's query, and without user and password.

    Identity is of the raw value, so that all that DVC tells apart stays apart.
    """
    match value:
        case str():
            return without_secrets(value, mark=digits_of) if "://" in value else value
        case Mapping():
            return {key: _without_secrets(each) for key, each in value.items()}
        case list():
            return [_without_secrets(each) for each in value]
        case _:
            return value
