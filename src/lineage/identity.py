"""What a stage, its execution and its data are called, whoever asks and whenever.

Pure: everything here is computed from values that a running stage and a
``dvc.lock`` of any git revision both hold, so that both come to the same name.
"""

import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lineage.errors import bare_url

HASH_KEYS = ("md5", "etag", "checksum")
"""Where a lock entry keeps a hash: local files and DVC remotes, http and s3, hdfs."""

SIGNATURE_LENGTH = 32


@dataclass(frozen=True)
class StageId:
    """A stage: two folders may hold equal entries, so the pipeline file belongs to it.

    Attributes:
        pipeline: The pipeline file, relative to the root of the git repository; empty for
            what runs outside of any.
        name: The stage, with its ``@key`` when it comes from ``foreach`` or ``matrix``.
    """

    pipeline: str
    name: str

    def __str__(self) -> str:
        return self.name if self.pipeline in ("", "dvc.yaml") else f"{self.pipeline}:{self.name}"


@dataclass(frozen=True, order=True)
class DataId:
    """Some bytes at some path: a dataset version, a model's files, a report, a piece of code.

    Attributes:
        path: Relative to the root of the git repository, or what names it outside of that.
        hash: The DVC hash, with ``.dir`` for a folder; empty where DVC keeps none.
    """

    path: str
    hash: str

    def __str__(self) -> str:
        return f"{self.path}@{self.hash}"

    def is_inside(self, folder: "DataId") -> bool:
        """Whether its path lies below that of the other."""
        return self.path.startswith(f"{folder.path}/")


@dataclass(frozen=True)
class Execution:
    """One outcome of a stage: what determined it, and what came out.

    The signature alone is not enough, since a forced rerun of a stage that is not
    deterministic has the same signature and other bytes.

    Attributes:
        stage: Which stage.
        signature: See `signature`.
        deps: Path relative to the repository root -> DVC hash, code included.
        outs: The same for what the stage wrote.
    """

    stage: StageId
    signature: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]

    @property
    def read(self) -> list[DataId]:
        """What it read, code included."""
        return [DataId(path, digest) for path, digest in self.deps.items()]

    @property
    def written(self) -> list[DataId]:
        """What it wrote."""
        return [DataId(path, digest) for path, digest in self.outs.items()]

    def wrote(self, data: DataId) -> bool:
        """Whether it wrote these bytes to this path."""
        return self.outs.get(data.path) == data.hash

    @property
    def outs_digest(self) -> str:
        """A short hash of all outputs: tells executions with one signature apart."""
        text = canonical_json(dict(self.outs))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @classmethod
    def from_lock_entry(cls, stage: StageId, entry: Mapping[str, Any], wdir: str) -> "Execution":
        """Read an entry of ``dvc.lock``, whose paths are relative to ``wdir``.

        Args:
            stage: The stage that the entry belongs to.
            entry: The parsed entry, read with DVC's own YAML loader.
            wdir: The stage's working directory relative to the repository root.
                The lock file does not hold it.
        """
        return cls(
            stage,
            signature(entry),
            {from_root(dep["path"], wdir): hash_of(dep) for dep in entry.get("deps", [])},
            {from_root(out["path"], wdir): hash_of(out) for out in entry.get("outs", [])},
        )


def signature(entry: Mapping[str, Any]) -> str:
    """Hash what determines a stage's result: command, dependencies and declared params.

    Args:
        entry: A lock entry, or the same made by a running stage: ``cmd`` (string or
            list), ``deps`` (list of ``{path, md5}``) and ``params`` (file -> key ->
            value). Outputs, sizes and file counts do not count.

    Returns:
        32 hexadecimal digits of a SHA-256.
    """
    determinants = {
        "cmd": entry["cmd"],
        "deps": {dep["path"]: hash_of(dep) for dep in entry.get("deps") or []},
        "params": entry.get("params") or {},
    }
    digest = hashlib.sha256(canonical_json(determinants).encode()).hexdigest()
    return digest[:SIGNATURE_LENGTH]


def hash_of(item: Mapping[str, Any]) -> str:
    """The DVC hash of a dependency or output in a lock entry, or "" where DVC keeps none."""
    return next((str(item[key]) for key in HASH_KEYS if item.get(key)), "")


def folder_hash(files: Mapping[str, str]) -> str:
    """The hash that DVC gives a folder, of name -> hash of its files (dvc_data.hashfile.tree)."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def from_root(path: str, wdir: str) -> str:
    """Turn a path relative to ``wdir`` into one relative to the repository root.

    Absolute paths, and URLs, name something outside and stay as they are, but for what in a
    URL may be a secret: user, password and query.
    """
    if "://" in path:
        return bare_url(path, mark=digits_of)
    if posixpath.isabs(path):
        return path
    return posixpath.normpath(posixpath.join(wdir, path))


def digits_of(query: str) -> str:
    """What tells the queries of two URLs apart, but does not let anybody in."""
    return hashlib.sha256(query.encode()).hexdigest()[:8]


def canonical_json(value: Any) -> str:
    """JSON that is equal exactly for equal values: sorted keys, no spaces, all keys strings."""
    return json.dumps(_with_string_keys(value), sort_keys=True, separators=(",", ":"))


def _with_string_keys(value: Any) -> Any:
    # YAML allows keys that are numbers or null; sorting those beside strings fails.
    if isinstance(value, Mapping):
        return {str(key): _with_string_keys(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_string_keys(item) for item in value]
    return value


def file_key(text: str) -> str:
    """What a name of any kind is called in the names of files."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
