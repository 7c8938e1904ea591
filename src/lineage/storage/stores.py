"""The DVC cache and the DVC remotes, asked in one way."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.errors import LineageError, bare_url, reason
from lineage.repository.workspace import as_dvc_reads
from lineage.storage.admit import is_hash

LARGEST_BYTES = 256 * 2**20
"""Of an object that is read as a whole: a listing of two million files."""

_EMPTY_FOLDER = "d751713988987e9331980363e24189ce.dir"
_OTHERS_RAISE = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
}


@dataclass(frozen=True)
class Store:
    """The DVC cache, or a DVC remote.

    Attributes:
        name: As a sentence calls it.
        advice: What to do where it does not answer.
        databases: By the hashes of DVC 3, and by those of DVC 2, which has its own way of
            reading text.
    """

    name: str
    advice: str
    databases: tuple[Any, Any]

    def holding(self, hashes: set[str]) -> dict[str, Any]:
        """Hash -> the database that has an object of that name, where one has.

        What is no hash that DVC makes, nobody has.
        """
        admitted = {digest for digest in hashes if is_hash(digest)}
        found: dict[str, Any] = {}
        with self.answering():
            for database in self.databases:
                found |= dict.fromkeys(_present(database, admitted - found.keys()), database)
        return found

    def read(self, hashes: set[str]) -> Iterator[tuple[str, bytes | None]]:
        """Read those objects that are there; None of one that is larger than `LARGEST_BYTES`."""
        held = self.holding(hashes)
        with self.answering():
            for database in self.databases:
                its = [digest for digest in held if held[digest] is database]
                paths = [database.oid_to_path(digest) for digest in its]
                sizes = _sizes(database, paths)
                small = [
                    path
                    for path, size_bytes in zip(paths, sizes, strict=True)
                    if size_bytes <= LARGEST_BYTES
                ]
                if is_local(database):
                    texts = (Path(path).read_bytes() for path in small)
                else:
                    texts = iter(database.fs.cat_ranges(small, None, None, on_error="raise"))
                for digest, size_bytes in zip(its, sizes, strict=True):
                    yield digest, next(texts) if size_bytes <= LARGEST_BYTES else None

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turn what its file system raises into a sentence."""
        with _answering(self.name, self.advice):
            yield


@contextmanager
def _answering(name: str, advice: str) -> Iterator[None]:
    try:
        yield
    except _failures() as error:
        raise LineageError(f"{name} does not answer ({reason(error)}): {advice}.") from error


def _failures() -> tuple[type[Exception], ...]:
    """What the file systems of DVC raise, each with errors of the libraries that it uses."""
    from dvc.exceptions import DvcException

    loaded = [(sys.modules.get(module), names) for module, names in _OTHERS_RAISE.items()]
    others = [getattr(module, name) for module, names in loaded if module for name in names]
    # DVC has its part for a kind of remote in a package of its own, which may be missing.
    return OSError, ImportError, DvcException, *others


def cache_of(repo: Any) -> Store:
    """The cache of an open DVC repository."""
    return Store(
        "the DVC cache",
        "make it readable for you",
        (repo.cache.local, repo.cache.legacy),
    )


def remotes_of(repo: Any) -> list[Store]:
    """The default remote first, then those that outputs have of their own."""
    default = repo.config["core"].get("remote")
    with as_dvc_reads(repo.root_dir):
        others = {out.remote for out in repo.index.outs if out.remote}
    names = [default, *sorted(others - {default})] if default else sorted(others)
    return [_remote(repo, name) for name in names]


def _remote(repo: Any, name: str) -> Store:
    url = repo.config["remote"].get(name, {}).get("url", "")
    called = f"the DVC remote {name!r} ({bare_url(url)})"
    advice = "correct it with `dvc remote modify`, or see to your credentials and the network"
    with _answering(called, advice):
        databases = [
            repo.cloud.get_remote_odb(name, "pull", hash_name=hash_name)
            for hash_name in ("md5", "md5-dos2unix")
        ]
    return Store(called, advice, (databases[0], databases[1]))


def is_local(database: Any) -> bool:
    """Whether its objects are files on this machine."""
    return bool(database.fs.protocol == "local")


def _sizes(database: Any, paths: list[str]) -> list[int]:
    """The bytes of objects; 0 where a store does not say."""
    if is_local(database):
        return [os.path.getsize(path) for path in paths]  # noqa: PTH202 - faster
    return [size_bytes or 0 for size_bytes in database.fs.fs.sizes(paths)]


def _present(database: Any, hashes: set[str]) -> set[str]:
    """Those of the hashes that the database has an object of."""
    if not hashes:
        return set()
    if is_local(database):
        # DVC's own question also hashes files, and removes those that are damaged.
        path_of = database.oid_to_path
        return {each for each in hashes if os.path.isfile(path_of(each))}  # noqa: PTH113 - faster
    # What fsspec remembers of earlier questions is out of date.
    database.fs.fs.invalidate_cache()
    # DVC takes a missing bucket for a missing file where it looks for one file only; for
    # two, it lists.
    found = hashes & set(database.oids_exist({*hashes, _EMPTY_FOLDER}))
    absent = hashes - found
    if absent and not database.fs.CAN_TRAVERSE:
        # It could not list, and took any trouble with a single file for its absence.
        with suppress(FileNotFoundError):
            database.fs.cat_file(database.oid_to_path(min(absent)))
    return found
