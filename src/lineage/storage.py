"""Bytes by their hash: from DVC's cache, or from the remote that has them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.errors import LineageError
from lineage.workspace import Item, Workspace, present_bytes


def materialise(workspace: Workspace, digest: str, destination: Path) -> Path:
    """Write the data with this DVC hash to ``destination``, and check it.

    The files are reflinks or copies, never links into the cache, so that editing one
    cannot damage it.

    Args:
        workspace: A clone of the repository that the data belongs to.
        digest: An md5 as DVC has it, with ``.dir`` for a folder.
        destination: Where to; must not exist yet.

    Raises:
        LineageError: If neither cache nor remote has the data, or something is in the way.
    """
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo
    from dvc_data.hashfile import load
    from dvc_data.hashfile.checkout import checkout
    from dvc_data.hashfile.hash_info import HashInfo

    if destination.exists():
        raise LineageError(f"{destination} exists already: name a new folder for {digest}.")
    info = HashInfo("md5", digest)
    local = LocalFileSystem()
    with Repo(str(workspace.root)) as repo:
        cache = repo.cache.local
        _fetch(repo, info)
        cache.cache_types = ["reflink", "copy"]
        destination.parent.mkdir(parents=True, exist_ok=True)
        checkout(str(destination), local, load(cache, info), cache, force=True, quiet=True)
        found, _, _ = present_bytes(repo, destination)
    if found != digest:
        raise LineageError(
            f"the data at {destination} has the hash {found}, not {digest}: the DVC"
            " cache is damaged; remove that object from it and fetch it again."
        )
    return destination


def in_place(workspace: Workspace, items: Iterable[Item]) -> list[Item]:
    """Those of the items whose bytes are in the workspace, just as their hashes say."""
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        return [
            item
            for item in items
            if item.location.exists() and present_bytes(repo, item.location)[0] == item.hash
        ]


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


def _fetch(repo: Any, info: Any) -> None:
    """Bring what the cache lacks from the remote."""
    from dvc.config import NoRemoteError

    cache = repo.cache.local
    if _is_complete(cache, info):
        return
    try:
        remote = repo.cloud.get_remote_odb(None, "pull")
        # Not `pull`: that takes a folder for complete as soon as its listing is there.
        repo.cloud.transfer(
            remote, cache, [info], cache_odb=remote, verify=remote.verify, shallow=False
        )
    except NoRemoteError as error:
        raise LineageError(
            f"the data {info.value} is not in the DVC cache, and no DVC remote is set up to fetch"
            " it from: add one with `dvc remote add -d`."
        ) from error
    except FileNotFoundError:
        pass  # DVC's way of saying that the remote lacks the folder's listing
    if not _is_complete(cache, info):
        raise LineageError(
            f"the data {info.value} is neither in the DVC cache nor in the remote: push it with"
            " `dvc push` where it is."
        )


def _is_complete(cache: Any, info: Any) -> bool:
    """Whether the cache has the object, and for a folder every file in it."""
    from dvc_data.hashfile import load

    if not cache.exists(info.value):
        return False
    if not info.isdir:
        return True
    files = {str(digest.value) for _, _, digest in load(cache, info)}
    return set(cache.oids_exist(files)) >= files
