"""What bytes on this machine really are: hashed by this process, whatever DVC remembers of them.

DVC takes an object for sound that it once wrote or brought, and remembers its name as its hash.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lineage.repository.workspace import as_dvc_reads
from lineage.storage.admit import FOLDER
from lineage.storage.stores import Store, is_local


def damaged(store: Store, held: Mapping[str, Any]) -> dict[str, str]:
    """Those objects whose bytes have another hash than their name, and where they are.

    Args:
        store: The cache or a remote; objects that are not on this machine are passed over.
        held: What it holds, see `Store.holding`.
    """
    near = [(digest, database) for digest, database in held.items() if is_local(database)]
    files = [(database.oid_to_path(digest), database.hash_name) for digest, database in near]
    with store.answering():
        found = file_hashes(files)
    return {
        digest: path
        for (digest, _), (path, _), actual in zip(near, files, found, strict=True)
        if actual != digest.removesuffix(FOLDER)
    }


def file_hashes(files: Sequence[tuple[str, str]]) -> list[str]:
    """The hash of each file, of the kind that it is given with; each file is read once."""
    from dvc.fs import localfs
    from dvc_data.fsutils import _localfs_info
    from dvc_data.hashfile.hash import hash_file

    def found(file: tuple[str, str]) -> str:
        path, kind = file
        return str(hash_file(path, localfs, kind, _READ, info=_localfs_info(path))[1].value)

    with ThreadPoolExecutor() as pool:
        return list(pool.map(found, files))


def present_hash(repo: Any, place: Path) -> str:
    """The hash that DVC gives a file or folder as it is now."""
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db.local import LocalHashFileDB

    ours = LocalHashFileDB(repo.cache.local.fs, repo.cache.local.path, state=_READ)
    with as_dvc_reads(repo.root_dir):
        built = build(ours, str(place), repo.fs, "md5", ignore=repo.dvcignore, dry_run=True)
    return str(built[2].hash_info.value)


class _Read:
    """What this process has hashed so far, asked as DVC asks its own state."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, Any]] = {}

    def get(self, path: str, _fs: Any, info: Mapping[str, Any]) -> tuple[Any, Any]:
        from dvc_data.hashfile.meta import Meta

        stamp, found = self._known.get(path, (None, None))
        return (Meta.from_info(info), found) if stamp == _stamp(info) else (None, None)

    def get_many(
        self, paths: Iterable[str], fs: Any, infos: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[tuple[str, Any, Any]]:
        for path in paths:
            yield path, *self.get(path, fs, infos[path])

    def save(self, path: str, _fs: Any, found: Any, info: Mapping[str, Any]) -> None:
        self._known[path] = (_stamp(info), found)

    def save_many(self, items: Iterable[tuple[str, Any, Mapping[str, Any]]], fs: Any) -> None:
        for path, found, info in items:
            self.save(path, fs, found, info)


def _stamp(info: Mapping[str, Any]) -> tuple[Any, ...]:
    """What changes with the bytes of a file."""
    return tuple(info[key] for key in ("ino", "size", "mtime", "created"))


_READ = _Read()
