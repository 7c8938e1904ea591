"""Reading bytes where they are, without a copy of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.identity import DataId
from lineage.repository.workspace import Workspace, present_bytes
from lineage.storage.locate import FOLDER, folders_among, listings_in
from lineage.storage.materialise import bring, materialise
from lineage.storage.stores import Store, cache_of


def in_place(workspace: Workspace, data: Iterable[DataId]) -> list[DataId]:
    """Those of the data whose bytes are in the workspace, just as their hashes say."""
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        return _in_place(workspace, repo, data)


@contextmanager
def exact(workspace: Workspace, data: DataId) -> Iterator[Path]:
    """Yield a path with exactly these bytes: their place if they are there, else a copy.

    Raises:
        LineageError: If workspace, cache and remote all lack them.
    """
    place = workspace.git_root / data.path
    if in_place(workspace, [data]):
        yield place
        return
    with TemporaryDirectory(prefix="lineage-") as folder:
        yield materialise(workspace, data.hash, Path(folder) / place.name)


@contextmanager
def readable(workspace: Workspace, data: Iterable[DataId]) -> Iterator[dict[DataId, Path]]:
    """Yield where bytes can be read on this machine, without copying them.

    That is their own place where they are there, else a temporary folder of links into the
    cache: never write to it.

    Returns:
        Only those data that workspace or cache have completely.
    """
    from dvc.repo import Repo

    data = list(data)
    with TemporaryDirectory(prefix="lineage-") as temporary:
        with Repo(str(workspace.root)) as repo:
            here = _in_place(workspace, repo, data)
            places = {each: workspace.git_root / each.path for each in here}
            cache = cache_of(repo)
            elsewhere = [each for each in data if each not in places]
            listings = dict(listings_in(cache, folders_among(each.hash for each in elsewhere)))
            for number, each in enumerate(elsewhere):
                view = Path(temporary) / str(number) / Path(each.path).name
                if _link(cache, each.hash, listings, view):
                    places[each] = view
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
            cache = cache_of(repo)
            bring(repo, cache, set(files.values()))
            held = cache.holding(set(files.values()))
            for name, digest in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(held[digest].oid_to_path(digest))
        yield Path(temporary)


def _in_place(workspace: Workspace, repo: Any, data: Iterable[DataId]) -> list[DataId]:
    return [each for each in data if _is_there(repo, workspace.git_root / each.path, each.hash)]


def _is_there(repo: Any, place: Path, digest: str) -> bool:
    return place.exists() and present_bytes(repo, place)[0] == digest


def _link(cache: Store, digest: str, listings: Mapping[str, Any], view: Path) -> bool:
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
