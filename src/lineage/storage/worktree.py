"""Data and code of one moment, in a folder of their own."""

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.repository.commits import SHORT
from lineage.repository.git import git
from lineage.repository.workspace import Workspace, dvc_of
from lineage.storage.admit import (
    admit_free,
    admit_unlinked,
    shown,
    why_not_inside,
    why_not_together,
)
from lineage.storage.materialise import appearing, write


def write_out(
    workspace: Workspace,
    data: Sequence[DataId],
    destination: Path,
    *,
    commit: str | None = None,
    as_folder: bool = False,
) -> list[Path]:
    """Write data with their hashes checked, and the code if wanted, or leave nothing.

    The workspace itself stays as it is.

    Args:
        workspace: A clone of the repository that the data belong to.
        data: What to write.
        destination: Must not exist yet. One item alone becomes the destination itself;
            several lie in it, each at its path.
        commit: Make the destination a detached git worktree of this commit, with every
            item at its path in it and DVC using the cache of the workspace, so that it
            knows these data. ``git worktree remove`` takes it away again.
        as_folder: One item alone lies in the destination at its path, too.

    Returns:
        Where the items are, in their order.

    Raises:
        LineageError: If the destination exists or cannot be written; an item is in neither
            cache nor remote; a path leads out of the destination, lies inside another
            item's, or is one that git tracks at the commit; or the clone lacks the commit.
    """
    if commit is None and len(data) == 1 and not as_folder:
        with appearing(destination) as path:
            write(workspace, {path: data[0].hash})
        return [destination]
    apart = _apart(data)
    if commit is None:
        with appearing(destination) as folder:
            folder.mkdir()
            write(workspace, {folder / path: digest for path, digest in apart.items()})
    else:
        sha = _known(workspace, commit)
        _check_untracked(workspace, sha, apart)
        with _worktree(workspace, sha, destination) as folder:
            # What git tells apart by its letters may be one on this file system.
            admit_free(folder, apart)
            write(workspace, {folder / path: digest for path, digest in apart.items()})
            _share_cache(workspace, folder)
    return [destination / posixpath.normpath(each.path) for each in data]


def _apart(data: Iterable[DataId]) -> Mapping[str, str]:
    """Path -> hash, where each path lies in the destination and in no other data's."""
    apart: dict[str, str] = {}
    for each in data:
        name = posixpath.normpath(each.path)
        if "://" in each.path or why_not_inside(name):
            raise LineageError(
                f"{shown(each.path)} lies outside of the repository, or where no data may lie, so"
                " it has no place beside other data: check it out alone."
            )
        if apart.setdefault(name, each.hash) != each.hash:
            raise LineageError(
                f"{each.path} is asked for with the hashes {apart[name]} and {each.hash}: check"
                " them out one by one."
            )
    for name in apart:
        parents = map(str, PurePosixPath(name).parents)
        above = next((path for path in parents if path in apart), None)
        if above is not None:
            raise LineageError(f"{name} lies inside {above}: check them out one by one.")
    why = why_not_together(list(apart))
    if why:
        raise LineageError(f"what is asked for {why}: check them out one by one.")
    return apart


def _known(workspace: Workspace, commit: str) -> str:
    """The full name of a commit of this clone."""
    top = workspace.git_root
    sha = git(top, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False)
    if not sha:
        is_shallow = git(top, "rev-parse", "--is-shallow-repository") == "true"
        fetch = "git fetch --unshallow" if is_shallow else "git fetch"
        raise LineageError(f"the commit {commit} is not in this clone: get it with `{fetch}`.")
    return sha


def _check_untracked(workspace: Workspace, sha: str, paths: Iterable[str]) -> None:
    """Refuse paths that git has at the commit: the data would take the place of code."""
    for path in paths:
        above = [str(parent) for parent in PurePosixPath(path).parents if str(parent) != "."]
        listing = git(workspace.git_root, "ls-tree", "-z", "--full-tree", sha, "--", path, *above)
        for line in filter(None, listing.split("\0")):
            about, _, name = line.partition("\t")
            # Above it may be folders, but no file, nor a link that leads elsewhere.
            if name == path or (name in above and " tree " not in about):
                raise LineageError(
                    f"{path} cannot be put into the code of {sha[:SHORT]}, where git"
                    f" tracks {name}: check it out without the code."
                )


@contextmanager
def _worktree(workspace: Workspace, sha: str, destination: Path) -> Iterator[Path]:
    """Yield a worktree of the commit to add to, which appears at the end, or not at all."""
    top = workspace.git_root
    place = None
    try:
        with appearing(destination) as place:
            # No hooks: that of `dvc install` would check out data by itself.
            quiet = ("-c", f"core.hooksPath={os.devnull}")
            git(top, *quiet, "worktree", "add", "--quiet", "--detach", str(place), sha)
            yield place
        git(top, "worktree", "repair", str(destination.absolute()))  # it has moved
    except BaseException:
        if place is not None:
            git(top, "worktree", "remove", "--force", str(place), check=False)
        raise


def _share_cache(workspace: Workspace, worktree: Path) -> None:
    """Let DVC in the worktree use the workspace's cache; else it would make the data anew."""
    from dvc.config import Config

    folder = worktree / workspace.name_of(workspace.root) / ".dvc"
    if folder.is_dir():  # not before the commit of `dvc init`
        # Git may have either as a link, to the settings of somebody else.
        settings = folder / Config.CONFIG_LOCAL
        admit_unlinked(worktree, settings.relative_to(worktree).as_posix())
        with dvc_of(workspace) as repo:
            cache = repo.cache.local_cache_dir
        with Config(str(folder)).edit("local") as local:
            local["cache"]["dir"] = cache
