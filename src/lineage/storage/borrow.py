"""Reading bytes where they are, without a copy of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.repository.items import Item
from lineage.repository.workspace import Workspace, present_bytes
from lineage.storage.locate import FOLDER, folders_among, listings_in
from lineage.storage.materialise import bring, materialise
from lineage.storage.stores import Store, cache_of


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
            cache = cache_of(repo)
            elsewhere = [item for item in items if item not in places]
            listings = dict(listings_in(cache, folders_among(item.hash for item in elsewhere)))
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
            cache = cache_of(repo)
            bring(repo, cache, set(files.values()))
            held = cache.holding(set(files.values()))
            for name, digest in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(held[digest].oid_to_path(digest))
        yield Path(temporary)


def _in_place(repo: Any, items: Iterable[Item]) -> list[Item]:
    return [
        item
        for item in items
        if item.location.exists() and present_bytes(repo, item.location)[0] == item.hash
    ]


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
