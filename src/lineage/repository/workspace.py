"""The working tree that git and DVC both manage, and what DVC tracks in it."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.errors import LineageError, reason
from lineage.repository.dvc_bounds import bound_dvc
from lineage.repository.dvc_yaml import PYTHONS_OWN
from lineage.repository.git import git, run_git
from lineage.repository.items import Item, files_of


@dataclass(frozen=True)
class Workspace:
    """A working tree that git and DVC both manage.

    Attributes:
        root: The folder with ``.dvc``, in which DVC works.
        git_root: The top of the git working tree; names are relative to it.
        home: The root that keeps the tracking store. The same as ``root``, but for a
            ``dvc exp run --temp``, which works in a copy and belongs to its parent, and for a
            git worktree, which belongs to the main one.
    """

    root: Path
    git_root: Path
    home: Path

    @classmethod
    def find(cls, start: Path | None = None) -> "Workspace":
        """Find the working tree around ``start`` (the current directory by default).

        Raises:
            LineageError: Where git or DVC does not manage it.
        """
        try:
            start = (start or Path.cwd()).resolve()
        except FileNotFoundError as error:
            raise LineageError(
                "the current folder is not there any more: change into one that is."
            ) from error
        root = next((folder for folder in [start, *start.parents] if _is_dvc_root(folder)), None)
        if root is None:
            raise LineageError(
                f"{start} is not inside a DVC repository: change into one, or make one here with"
                " `git init && dvc init`."
            )
        top = Path(_top_of_git(root)).resolve()
        parent = _parent_of(root)
        # A temporary experiment belongs to its parent, which may be a worktree itself.
        above = Path(_top_of_git(parent)).resolve() if parent != root else top
        return cls(root, top, _in_main_worktree(parent, above))

    @property
    def is_temporary(self) -> bool:
        """Whether this is the copy in which a ``dvc exp run --temp`` or ``--queue`` works."""
        return _parent_of(self.root) != self.root

    @property
    def private(self) -> Path:
        """A folder of our own, ignored by git, gone with the working tree."""
        folder = self.root / ".dvc" / "tmp" / "lineage"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def lasting(self) -> Path:
        """The same in `home`: it stays where a temporary experiment was killed, and is gone."""
        folder = self.home / ".dvc" / "tmp" / "lineage"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def name_of(self, path: Path) -> str:
        """The name of a path: relative to the git root, or absolute where it lies outside."""
        if path.is_relative_to(self.git_root):
            return path.relative_to(self.git_root).as_posix()
        return path.as_posix()

    def tracked(self, path: Path, rev: str | None = None) -> "Item":
        """Look up data that DVC tracks, as it is on disk now or was recorded at ``rev``.

        Raises:
            LineageError: If DVC does not track it there.
        """
        location = Path(os.path.normpath(path))
        name = self.name_of(location)
        with open_repo(self, rev) as repo:
            recorded = _recorded(repo, location, self.root)
            if recorded is None:
                raise LineageError(
                    f"{name} is not tracked by DVC {f'at {rev}' if rev else 'here'}: name an output"
                    " of a stage, or a path that was given to `dvc add`, as a whole."
                )
            if rev is None:
                if not location.exists():
                    raise LineageError(f"{name} is not here: run `dvc checkout` or `dvc pull`.")
                recorded = present_bytes(repo, location)
        digest, size_bytes, files = recorded
        return Item(name, location, digest, "dataset", (), size_bytes, files)


def _parent_of(root: Path) -> Path:
    """The repository that a temporary experiment is a copy of; ``root`` itself of any other.

    While that runs, DVC_ROOT is the parent, and the copy lies in its ``.dvc/tmp``. A stage may
    also look into a repository that has nothing to do with it.
    """
    named = Path(os.environ.get("DVC_ROOT", root)).resolve()
    return named if root.is_relative_to(named / ".dvc" / "tmp") else root


def _top_of_git(root: Path) -> str:
    done = run_git(root, "rev-parse", "--show-toplevel")
    if done.returncode == 0:
        return done.stdout.strip("\n")
    if "not a git repository" in done.stderr:
        raise LineageError(
            f"{root} is not inside a git repository, which dataset versions need for their"
            " names: run `git init` there."
        )
    raise LineageError(f"git refuses {root}: {' '.join(done.stderr.split())}")


def _in_main_worktree(root: Path, top: Path) -> Path:
    """The same folder in the main worktree; ``root`` itself where that has none."""
    if (top / ".git").is_dir():
        return root
    common = Path(git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")).resolve()
    main = common.parent / root.relative_to(top)
    return main if common.name == ".git" and _is_dvc_root(main) else root


def _is_dvc_root(folder: Path) -> bool:
    # The same test as DVC's: a `.dvc` folder, not a `.dvc` file of that name.
    return (folder / ".dvc").is_dir()


def _recorded(repo: Any, location: Path, root: Path) -> tuple[str, int, int] | None:
    """Hash, bytes and files of a path as DVC recorded them; None where it did not."""
    if not location.is_relative_to(root):
        return None
    try:
        info = repo.dvcfs.info("/" + location.relative_to(root).as_posix())
    except FileNotFoundError:
        return None
    tracked = info.get("dvc_info")
    if not tracked or not tracked.get("md5"):
        return None
    meta = tracked["entry"].meta
    return str(tracked["md5"]), meta.size or 0, files_of(meta.nfiles)


def present_bytes(repo: Any, location: Path) -> tuple[str, int, int]:
    """Hash, bytes and files of what is on disk now, through DVC's state."""
    from dvc_data.hashfile.build import build

    with as_dvc_reads(repo.root_dir):
        _, meta, tree = build(
            repo.cache.local, str(location), repo.fs, "md5", ignore=repo.dvcignore, dry_run=True
        )
    return str(tree.hash_info.value), meta.size or 0, files_of(meta.nfiles)


@contextmanager
def dvc_of(workspace: Workspace) -> Iterator[Any]:
    """Open the DVC repository.

    Raises:
        LineageError: If its settings, or git's, are malformed.
    """
    from dvc.repo import Repo

    bound_dvc()
    with as_dvc_reads(workspace.root):
        repo = Repo(str(workspace.root))
    with repo:
        yield repo


@contextmanager
def as_dvc_reads(root: Path | str) -> Iterator[None]:
    """Turn what DVC lets through of Python's errors, where it reads files, into a sentence.

    Nothing but a question to DVC belongs into the block.
    """
    try:
        yield
    except (OSError, AttributeError, NotImplementedError, *PYTHONS_OWN) as error:
        place = getattr(error, "filename", None) or root
        raise LineageError(
            f"DVC cannot read its files at {place} ({type(error).__name__}: {reason(error)}):"
            " `dvc status` says more; restore what was not written by DVC from git, .dvcignore,"
            " .dvc/config and .gitmodules too."
        ) from error


@contextmanager
def open_repo(workspace: Workspace, rev: str | None = None) -> Iterator[Any]:
    """Open the DVC repository as it is now, or as it was at a git revision.

    Raises:
        LineageError: If there is no such revision.
    """
    from dvc.repo.brancher import switch
    from dvc.scm import RevError

    with dvc_of(workspace) as repo, ExitStack() as at:
        if rev:
            try:
                if "\0" in rev:  # before which git would stop reading
                    raise RevError(rev)
                at.enter_context(switch(repo, rev))
            except (RevError, AttributeError) as error:  # the second of what is no commit
                raise LineageError(f"{rev} is no revision of this git repository.") from error
        yield repo
