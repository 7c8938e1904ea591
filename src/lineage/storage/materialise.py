"""Bytes by their hash: from DVC's cache, or from the remote that has them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.errors import LineageError, reason
from lineage.repository.workspace import Workspace, dvc_of
from lineage.storage.admit import admit_hash
from lineage.storage.content import file_hashes
from lineage.storage.locate import folders_among, listings_in
from lineage.storage.stores import Store, cache_of, remotes_of
from lineage.words import some


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
            hash says, or a listing that is not taken (see `lineage.storage.admit`), or the
            destination cannot be written.
    """
    with appearing(destination) as path:
        write(workspace, {path: digest})
    return destination


def write(workspace: Workspace, data: Mapping[Path, str]) -> None:
    """Write the data with these DVC hashes to these paths, as `materialise` writes one.

    A failure leaves behind what was written so far, so give paths inside of an `appearing`
    one, where no link is on the way to them.

    Raises:
        LineageError: As `materialise` does.
    """
    for digest in data.values():
        admit_hash(digest)
    with dvc_of(workspace) as repo:
        cache = cache_of(repo)
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


def _fetch(repo: Any, cache: Store, digests: set[str]) -> dict[str, dict[str, str]]:
    """Bring what the cache lacks from the remote; return the listings of the folders."""
    folders = folders_among(digests)
    bring(repo, cache, digests)
    listings = dict(listings_in(cache, folders, _raise))
    for folder in folders - listings.keys():
        raise damaged_object(cache.holding({folder})[folder].oid_to_path(folder))
    bring(repo, cache, {each for listing in listings.values() for each in listing.values()})
    return listings


def _raise(_folder: str, error: LineageError) -> None:
    raise error


def bring(repo: Any, cache: Store, hashes: set[str]) -> None:
    """Copy those objects that the cache lacks from the remotes into it."""
    lacking = hashes - cache.holding(hashes).keys()
    if not lacking:
        return
    remotes = remotes_of(repo)
    if not remotes:
        raise LineageError(
            f"the data {some(sorted(lacking), 1)} are not in the DVC cache, and no default DVC"
            " remote is set up to fetch them from: add one with `dvc remote add -d`."
        )
    for remote in remotes:
        _bring_from(remote, cache, lacking)
        lacking -= cache.holding(lacking).keys()
        if not lacking:
            return
    names = " nor in ".join(remote.name for remote in remotes)
    raise LineageError(
        f"the data {some(sorted(lacking), 1)} are neither in the DVC cache nor in {names}: push"
        " them with `dvc push` where they are."
    )


def _bring_from(remote: Store, cache: Store, lacking: set[str]) -> None:
    """Copy those objects that this remote has into the cache."""
    from dvc.fs.callbacks import TqdmCallback

    held = remote.holding(lacking)
    for source, target in zip(remote.databases, cache.databases, strict=True):
        for each in held:
            place = target.oid_to_path(each)
            # Such as a link to /dev/zero, whose bytes would be read to see what they are.
            if held[each] is source and os.path.lexists(place):
                raise LineageError(f"{place} in the DVC cache is no regular file: remove it.")
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
            f"{remote.name} holds other bytes under the name {some(sorted(refused), 1)} than that"
            " hash says: remove them there, and push them again with `dvc push` where they are"
            " sound."
        )


def _copy(cache: Store, files: list[tuple[str, Path]]) -> None:
    """Write objects of the cache to paths, and read them again."""
    from dvc.fs import LocalFileSystem
    from dvc.fs.callbacks import TqdmCallback
    from dvc_objects.fs.generic import transfer

    databases = cache.holding({digest for digest, _ in files})
    sources = [databases[digest].oid_to_path(digest) for digest, _ in files]
    targets = [str(path) for _, path in files]
    for folder in {path.parent for _, path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    with TqdmCallback(desc="Writing", unit="file", size=len(files)) as progress:
        local = LocalFileSystem()
        transfer(local, sources, local, targets, links=["reflink", "copy"], callback=progress)

    kinds = [(str(path), databases[digest].hash_name) for digest, path in files]
    for (digest, _), written in zip(files, file_hashes(kinds), strict=True):
        if written != digest:
            raise damaged_object(databases[digest].oid_to_path(digest))


def damaged_object(path: str) -> LineageError:
    """What to do about an object of the cache that holds other bytes than its name says."""
    return LineageError(
        f"{path} in the DVC cache is damaged, its bytes have another hash than its name: remove it,"
        " and ask again, which fetches it from the remote."
    )
