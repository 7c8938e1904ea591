"""Bytes by their hash: from DVC's cache, or from the remote that has them."""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.errors import LineageError, reason
from lineage.tracking import without_credentials
from lineage.workspace import Item, Workspace, present_bytes

FOLDER = ".dir"
"""How the DVC hash of a folder ends: it is the hash of a listing of its files."""

_EMPTY_FOLDER = "d751713988987e9331980363e24189ce.dir"
_OTHERS_RAISE = {
    "botocore.exceptions": ("BotoCoreError", "ClientError"),
    "aiohttp": ("ClientError",),
}


@dataclass(frozen=True)
class Place:
    """Who has the data with a DVC hash: for a folder, its listing and every file of it.

    Attributes:
        cache: Whether the DVC cache has all of it.
        remote: Whether the DVC remote has all of it; None where none is set up, or it was
            not asked.
        missing: The hashes of those objects that neither has. The data can be had exactly
            when there are none: some may be here, and the others there.
    """

    cache: bool
    remote: bool | None
    missing: tuple[str, ...]


def locate(
    workspace: Workspace, digests: Iterable[str], *, remote: bool = True
) -> dict[str, Place]:
    """Say for each DVC hash whether the cache and the DVC remotes have the data.

    The remotes are the default one, and those that outputs name in ``dvc.yaml`` as it is now.
    However many hashes, each is asked in bulk. Content is not read: that it is what its name
    says, `materialise` checks.

    Args:
        workspace: A clone of the repository that the data belong to.
        digests: Files and folders, as DVC has them.
        remote: Ask the remote too.

    Raises:
        LineageError: If the remote does not answer.
    """
    from dvc.repo import Repo

    wanted = set(digests)
    folders = _folders(wanted)
    with Repo(str(workspace.root)) as repo:
        cache = _cache(repo)
        remotes = _remotes(repo) if remote else []
        contents = {folder: _hashes(listing) for folder, listing in _listings(cache, folders)}
        not_here = folders - contents.keys()
        for far in remotes:
            for folder, listing in _listings(far, not_here - contents.keys()):
                contents[folder] = _hashes(listing)
        nowhere = folders - contents.keys()
        everything = wanted.union(*contents.values())
        # A listing that is there, but damaged, counts as none.
        near = cache.holding(everything).keys() - not_here
        away: set[str] = set()
        for far in remotes:
            away |= far.holding(everything - away).keys() - nowhere
    places = {}
    for digest in wanted:
        parts = (digest, *contents.get(digest, ()))
        missing = tuple(part for part in parts if part not in near and part not in away)
        places[digest] = Place(
            cache=all(part in near for part in parts),
            remote=all(part in away for part in parts) if remotes else None,
            missing=missing,
        )
    return places


def listings(workspace: Workspace, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """Folder -> file in it -> hash, of those whose listing cache or remote have.

    Raises:
        LineageError: If the remote does not answer.
    """
    from dvc.repo import Repo

    wanted = _folders(folders)
    with Repo(str(workspace.root)) as repo:
        found = dict(_listings(_cache(repo), wanted))
        for far in _remotes(repo) if wanted - found.keys() else ():
            found |= _listings(far, wanted - found.keys())
    return found


def materialise(workspace: Workspace, digest: str, destination: Path) -> Path:
    """Write the data with this DVC hash to ``destination``, checked, or leave nothing there.

    The files are reflinks or copies, never links into the cache, so that editing one
    cannot damage it. What the cache lacks comes from the default DVC remote into it. The
    workspace stays as it is.

    Args:
        workspace: A clone of the repository that the data belong to.
        digest: An md5 as DVC has it, with ``.dir`` for a folder.
        destination: Where to; must not exist yet. Folders above it are made.

    Returns:
        The destination.

    Raises:
        LineageError: If cache and remote lack some of the data, hold other bytes than their
            hash says, or the destination cannot be written.
    """
    with appearing(destination) as path:
        write(workspace, {path: digest})
    return destination


def write(workspace: Workspace, data: Mapping[Path, str]) -> None:
    """Write the data with these DVC hashes to these paths, as `materialise` writes one.

    A failure leaves behind what was written so far, so give paths inside of an `appearing`
    one.

    Raises:
        LineageError: As `materialise` does.
    """
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        cache = _cache(repo)
        listings = _fetch(repo, cache, set(data.values()))
        files: list[tuple[str, Path]] = []
        for path, digest in data.items():
            if digest in listings:
                path.mkdir(parents=True)
                files += [(each, path / name) for name, each in listings[digest].items()]
            else:
                files.append((digest, path))
        _copy(cache, files)


@contextmanager
def appearing(destination: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes ``destination`` when the block ends well.

    When it does not, Ctrl-C included, nothing is left of it or of folders made for it.

    Raises:
        LineageError: If the destination exists, or cannot be written.
    """
    final = Path(os.path.normpath(destination.absolute()))
    if os.path.lexists(final):
        raise LineageError(f"{destination} exists already: name a path that does not exist yet.")
    made = [folder for folder in final.parents if not os.path.lexists(folder)]
    standing = final.parents[len(made)]
    if not standing.is_dir():
        raise LineageError(f"{standing} is no folder, so {destination} cannot be: name another.")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        # Beside it, so that it can be moved there in one step.
        with TemporaryDirectory(prefix=".partial-", dir=final.parent) as folder:
            yield Path(folder) / final.name
            (Path(folder) / final.name).rename(final)
    except BaseException as error:
        for above in made:
            with suppress(OSError):  # not made yet, or by now somebody else's too
                above.rmdir()
        if isinstance(error, OSError):
            raise LineageError(
                f"{destination} cannot be written ({reason(error)}): make that possible, or name"
                " another place."
            ) from error
        raise


def in_place(workspace: Workspace, items: Iterable[Item]) -> list[Item]:
    """Those of the items whose bytes are in the workspace, just as their hashes say."""
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        return _in_place(repo, items)


@contextmanager
def exact(workspace: Workspace, item: Item) -> Iterator[Path]:
    """Yield a path with exactly the item's bytes: its place if they are there, else a copy.

    Raises:
        LineageError: If workspace, cache and remote all lack them.
    """
    if in_place(workspace, [item]):
        yield item.location
        return
    with TemporaryDirectory(prefix="lineage-") as folder:
        yield materialise(workspace, item.hash, Path(folder) / item.location.name)


@contextmanager
def readable(workspace: Workspace, items: Iterable[Item]) -> Iterator[dict[Item, Path]]:
    """Yield where the bytes of items can be read on this machine, without copying them.

    That is an item's place where its bytes are there, else a temporary folder of links
    into the cache: never write to it.

    Returns:
        Only those items that workspace or cache have completely.
    """
    from dvc.repo import Repo

    items = list(items)
    with TemporaryDirectory(prefix="lineage-") as temporary:
        with Repo(str(workspace.root)) as repo:
            places = {item: item.location for item in _in_place(repo, items)}
            cache = _cache(repo)
            elsewhere = [item for item in items if item not in places]
            listings = dict(_listings(cache, _folders(item.hash for item in elsewhere)))
            for number, item in enumerate(elsewhere):
                view = Path(temporary) / str(number) / item.location.name
                if _link(cache, item.hash, listings, view):
                    places[item] = view
        yield places


@contextmanager
def linked(workspace: Workspace, files: Mapping[str, str]) -> Iterator[Path]:
    """Yield a temporary folder with these files, name -> hash, and no others: never write to it.

    They are links into the DVC cache, into which comes what it lacks of them.

    Raises:
        LineageError: If cache and remote lack some of them.
    """
    from dvc.repo import Repo

    with TemporaryDirectory(prefix="lineage-") as temporary:
        with Repo(str(workspace.root)) as repo:
            cache = _cache(repo)
            _bring(repo, cache, set(files.values()))
            held = cache.holding(set(files.values()))
            for name, digest in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(held[digest].oid_to_path(digest))
        yield Path(temporary)


@dataclass(frozen=True)
class _Store:
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
        """Hash -> the database that has an object of that name, where one has."""
        found: dict[str, Any] = {}
        with self.answering():
            for database in self.databases:
                found |= dict.fromkeys(_present(database, hashes - found.keys()), database)
        return found

    def read(self, hashes: set[str]) -> Iterator[tuple[str, bytes]]:
        """Read those objects that are there, small ones as listings are."""
        held = self.holding(hashes)
        with self.answering():
            for database in self.databases:
                its = [digest for digest in held if held[digest] is database]
                paths = [database.oid_to_path(digest) for digest in its]
                if _is_local(database):
                    texts = (Path(path).read_bytes() for path in paths)
                else:
                    texts = iter(database.fs.cat_ranges(paths, None, None, on_error="raise"))
                yield from zip(its, texts, strict=True)

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


def _cache(repo: Any) -> _Store:
    return _Store(
        "the DVC cache",
        "make it readable for you",
        (repo.cache.local, repo.cache.legacy),
    )


def _remotes(repo: Any) -> list[_Store]:
    """The default remote first, then those that outputs have of their own."""
    default = repo.config["core"].get("remote")
    others = {out.remote for out in repo.index.outs if out.remote}
    names = [default, *sorted(others - {default})] if default else sorted(others)
    return [_remote(repo, name) for name in names]


def _remote(repo: Any, name: str) -> _Store:
    url = repo.config["remote"].get(name, {}).get("url", "")
    called = f"the DVC remote {name!r} ({without_credentials(url)})"
    advice = "correct it with `dvc remote modify`, or see to your credentials and the network"
    with _answering(called, advice):
        databases = [
            repo.cloud.get_remote_odb(name, "pull", hash_name=hash_name)
            for hash_name in ("md5", "md5-dos2unix")
        ]
    return _Store(called, advice, (databases[0], databases[1]))


def _is_local(database: Any) -> bool:
    return bool(database.fs.protocol == "local")


def _present(database: Any, hashes: set[str]) -> set[str]:
    """Those of the hashes that the database has an object of."""
    if not hashes:
        return set()
    if _is_local(database):
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


def _folders(digests: Iterable[str]) -> set[str]:
    return {digest for digest in digests if digest.endswith(FOLDER)}


def _listings(store: _Store, folders: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder with its listing, file -> hash, where the store has a sound one."""
    for folder, text in store.read(folders):
        digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
        if digest == folder.removesuffix(FOLDER):
            yield folder, {entry["relpath"]: entry["md5"] for entry in json.loads(text)}


def _hashes(listing: Mapping[str, str]) -> tuple[str, ...]:
    # Versions of a folder share most of their files.
    return tuple(sys.intern(digest) for digest in listing.values())


def _fetch(repo: Any, cache: _Store, digests: set[str]) -> dict[str, dict[str, str]]:
    """Bring what the cache lacks from the remote; return the listings of the folders."""
    folders = _folders(digests)
    _bring(repo, cache, digests)
    listings = dict(_listings(cache, folders))
    for folder in folders - listings.keys():
        raise _damaged(cache.holding({folder})[folder], folder)
    _bring(repo, cache, {each for listing in listings.values() for each in listing.values()})
    return listings


def _bring(repo: Any, cache: _Store, hashes: set[str]) -> None:
    """Copy those objects that the cache lacks from the remotes into it."""
    lacking = hashes - cache.holding(hashes).keys()
    if not lacking:
        return
    remotes = _remotes(repo)
    if not remotes:
        raise LineageError(
            f"the data {_some(lacking)} are not in the DVC cache, and no default DVC remote is set"
            " up to fetch them from: add one with `dvc remote add -d`."
        )
    for remote in remotes:
        _bring_from(remote, cache, lacking)
        lacking -= cache.holding(lacking).keys()
        if not lacking:
            return
    names = " nor in ".join(remote.name for remote in remotes)
    raise LineageError(
        f"the data {_some(lacking)} are neither in the DVC cache nor in {names}: push them with"
        " `dvc push` where they are."
    )


def _bring_from(remote: _Store, cache: _Store, lacking: set[str]) -> None:
    """Copy those objects that this remote has into the cache."""
    from dvc.fs.callbacks import TqdmCallback

    held = remote.holding(lacking)
    failed: dict[str, BaseException] = {}
    for source, target in zip(remote.databases, cache.databases, strict=True):
        its = [each for each in held if held[each] is source]
        if its:
            with remote.answering(), TqdmCallback(desc="Fetching", unit="file") as progress:
                target.add(
                    [source.oid_to_path(each) for each in its],
                    source.fs,
                    its,
                    callback=progress,
                    check_exists=False,
                    on_error=failed.__setitem__,
                    verify=True,
                    batch_size=source.fs.jobs,
                )
    for each, error in failed.items():
        raise LineageError(
            f"the data {each} cannot be brought from {remote.name} into the DVC cache"
            f" ({reason(error)}): make room for them, {remote.advice}."
        ) from error
    refused = held.keys() - cache.holding(set(held)).keys()
    if refused:
        raise LineageError(
            f"{remote.name} holds other bytes under the name {_some(refused)} than that hash says:"
            " remove them there, and push them again with `dvc push` where they are sound."
        )


def _some(hashes: set[str]) -> str:
    first = min(hashes)
    return f"{first} and {len(hashes) - 1:,} more" if len(hashes) > 1 else first


def _copy(cache: _Store, files: list[tuple[str, Path]]) -> None:
    """Write objects of the cache to paths, and read them again."""
    from dvc.fs import LocalFileSystem
    from dvc.fs.callbacks import TqdmCallback
    from dvc_data.hashfile.hash import file_md5
    from dvc_objects.fs.generic import transfer

    databases = cache.holding({digest for digest, _ in files})
    sources = [databases[digest].oid_to_path(digest) for digest, _ in files]
    targets = [str(path) for _, path in files]
    for folder in {path.parent for _, path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    with TqdmCallback(desc="Writing", unit="file", size=len(files)) as progress:
        local = LocalFileSystem()
        transfer(local, sources, local, targets, links=["reflink", "copy"], callback=progress)

    def found(file: tuple[str, Path]) -> str:
        digest, path = file
        return str(file_md5(str(path), local, name=databases[digest].hash_name))

    with ThreadPoolExecutor() as pool:
        for (digest, _), written in zip(files, pool.map(found, files), strict=True):
            if written != digest:
                raise _damaged(databases[digest], digest)


def _damaged(database: Any, digest: str) -> LineageError:
    return LineageError(
        f"{database.oid_to_path(digest)} in the DVC cache is damaged, its bytes have another hash"
        " than its name: remove it, and ask again, which fetches it from the remote."
    )


def _in_place(repo: Any, items: Iterable[Item]) -> list[Item]:
    return [
        item
        for item in items
        if item.location.exists() and present_bytes(repo, item.location)[0] == item.hash
    ]


def _link(cache: _Store, digest: str, listings: Mapping[str, Any], view: Path) -> bool:
    """Make links to an object of the cache, or to all files of a folder, if it has them all."""
    if digest.endswith(FOLDER):
        if digest not in listings:
            return False
        files = {view / name: each for name, each in listings[digest].items()}
        folders = {view, *(path.parent for path in files)}
    else:
        files, folders = {view: digest}, {view.parent}
    held = cache.holding(set(files.values()))
    if not held.keys() >= set(files.values()):
        return False
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    for path, each in files.items():
        path.symlink_to(held[each].oid_to_path(each))
    return True
