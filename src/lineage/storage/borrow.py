"""Reading bytes where they are, without a copy of them."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lineage.errors import reason
from lineage.identity import DataId
from lineage.repository.workspace import Workspace, dvc_of, present_bytes
from lineage.storage.admit import FOLDER, admit_names, admit_path, file_name
from lineage.storage.content import damaged, present_hash
from lineage.storage.locate import folders_among, listings_in
from lineage.storage.materialise import bring, damaged_object, materialise
from lineage.storage.stores import Store, cache_of

_log = logging.getLogger("lineage")


def in_place(
    workspace: Workspace, data: Iterable[DataId], *, content: bool = False
) -> list[DataId]:
    """Those of the data whose bytes are in the workspace, just as their hashes say.

    Args:
        workspace: A working tree; of data whose path leads out of it, nothing is read.
        data: What to look for.
        content: Read every byte; else what DVC remembers of a file that did not change will do,
            though it takes what it checked out for what it should have been.
    """
    with dvc_of(workspace) as repo:
        return _in_place(workspace, repo, data, content=content)


@contextmanager
def exact(workspace: Workspace, data: DataId) -> Iterator[Path]:
    """Yield a path with exactly these bytes: their place if they are there, else a copy.

    Raises:
        LineageError: If workspace, cache and remote all lack them.
    """
    if in_place(workspace, [data], content=True):
        yield workspace.git_root / data.path
        return
    with TemporaryDirectory(prefix="lineage-") as folder:
        yield materialise(workspace, data.hash, Path(folder) / file_name(data.path))


@contextmanager
def readable(workspace: Workspace, data: Iterable[DataId]) -> Iterator[dict[DataId, Path]]:
    """Yield where bytes can be read on this machine, hashes checked, without copying them.

    That is their own place where they are there, else a temporary folder of links into the
    cache: never write to it.

    Returns:
        Only those data that workspace or cache have completely. The log has why others that are
        there are not among them.
    """
    data = list(data)
    with TemporaryDirectory(prefix="lineage-") as temporary:
        with dvc_of(workspace) as repo:
            here = _in_place(workspace, repo, data, content=True)
            places = {each: workspace.git_root / each.path for each in here}
            cache = cache_of(repo)
            elsewhere = [each for each in data if each not in places]
            listings = dict(listings_in(cache, folders_among(each.hash for each in elsewhere)))
            for number, each in enumerate(elsewhere):
                view = Path(temporary) / str(number) / file_name(each.path)
                if _link(cache, each.hash, listings, view):
                    places[each] = view
        yield places


@contextmanager
def linked(workspace: Workspace, files: Mapping[str, str]) -> Iterator[Path]:
    """Yield a temporary folder with these files, name -> hash, and no others: never write to it.

    They are links into the DVC cache, into which comes what it lacks of them; hashes are checked.

    Raises:
        LineageError: If cache and remote lack some of them, what the cache has is damaged, or a
            name leads out of the folder.
    """
    admit_names(files)
    with TemporaryDirectory(prefix="lineage-") as temporary:
        with dvc_of(workspace) as repo:
            cache = cache_of(repo)
            bring(repo, cache, set(files.values()))
            held = cache.holding(set(files.values()))
            for path in damaged(cache, held).values():
                raise damaged_object(path)
            _make_links(held, {Path(temporary) / name: each for name, each in files.items()})
        yield Path(temporary)


def _in_place(
    workspace: Workspace, repo: Any, data: Iterable[DataId], *, content: bool
) -> list[DataId]:
    def is_there(each: DataId) -> bool:
        place = admit_path(workspace.git_root, each.path)
        if place is None:
            return False
        found = present_hash(repo, place) if content else present_bytes(repo, place)[0]
        return found == each.hash

    return [each for each in data if is_there(each)]


def _link(cache: Store, digest: str, listings: Mapping[str, Any], view: Path) -> bool:
    """Make links to an object of the cache, or to all files of a folder, if it has them all."""
    if digest.endswith(FOLDER):
        if digest not in listings:
            return False
        files = {view / name: each for name, each in listings[digest].items()}
        folder = view
    else:
        files, folder = {view: digest}, view.parent
    held = cache.holding(set(files.values()))
    if not held.keys() >= set(files.values()):
        return False
    broken = damaged(cache, held)
    if broken:
        _log.warning("%s", damaged_object(min(broken.values())))
        return False
    folder.mkdir(parents=True)
    try:
        _make_links(held, files)
    except OSError as error:
        _log.warning("the files of %s cannot be laid out here: %s.", digest, reason(error))
        return False
    return True


def _make_links(held: Mapping[str, Any], files: Mapping[Path, str]) -> None:
    for folder in {path.parent for path in files}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, digest in files.items():
        path.symlink_to(held[digest].oid_to_path(digest))
