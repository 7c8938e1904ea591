"""The DVC files of a repository: those of a commit, without a process, and of the working tree."""

from collections.abc import Hashable, Mapping, Set
from functools import cached_property
from pathlib import Path
from typing import Any

from lineage.errors import LineageError
from lineage.identity import from_root
from lineage.places import is_file
from lineage.repository.commits import Commit, Commits
from lineage.repository.git import git
from lineage.repository.snapshot import is_dvc_file
from lineage.repository.workspace import Workspace

IGNORE = ".dvcignore"


class DvcFiles:
    """Finds the files that say what DVC tracks, as DVC would: not those that it ignores.

    Args:
        workspace: The working tree.
        commits: The commits of its repository.

    Attributes:
        problems: Why nothing is found at some commits -> those. Grows as commits are looked at.
    """

    def __init__(self, workspace: Workspace, commits: Commits) -> None:
        self._workspace = workspace
        self._commits = commits
        self._prefix = workspace.name_of(workspace.root)
        self._trees: dict[Any, dict[str, Any]] = {}
        self._seen: dict[Any, dict[str, Any]] = {}
        self._refused: dict[Any, str] = {}
        self.problems: dict[str, list[Commit]] = {}

    def of(self, commit: Commit) -> dict[str, Any]:
        """Path -> id of the content, of each DVC file of a commit."""
        tree = self._commits.tree(commit)
        if self._prefix != ".":
            try:
                tree = tree[self._prefix]
            except KeyError:
                return {}
            if tree.type_str != "tree":
                return {}
        if tree.id not in self._seen:
            self._seen[tree.id] = self._not_ignored(tree)
        if tree.id in self._refused:
            told = self.problems.setdefault(self._refused[tree.id], [])
            told += [commit] if commit not in told else []
        return self._seen[tree.id]

    def _not_ignored(self, tree: Any) -> dict[str, Any]:
        below = self._below(tree, is_root=True)
        is_ignore = {path for path in below if path.rpartition("/")[2] == IGNORE}
        patterns = {path: self.text(below[path]) for path in is_ignore}
        try:
            hidden = is_ignore | _ignored(below.keys() - is_ignore, patterns)
        except LineageError as error:
            self._refused[tree.id] = str(error)
            return {}
        return {
            from_root(path, self._prefix): blob
            for path, blob in below.items()
            if path not in hidden
        }

    def _below(self, tree: Any, *, is_root: bool) -> dict[str, Any]:
        if tree.id in self._trees:
            return self._trees[tree.id]
        files = {}
        is_other_repository = not is_root and ".dvc" in tree and tree[".dvc"].type_str == "tree"
        for entry in () if is_other_repository else tree:
            if entry.type_str == "tree" and entry.name != ".dvc":
                below = self._below(entry, is_root=False)
                files.update({f"{entry.name}/{path}": blob for path, blob in below.items()})
            elif entry.type_str == "blob" and (is_dvc_file(entry.name) or entry.name == IGNORE):
                files[entry.name] = entry.id
        self._trees[tree.id] = files
        return files

    def text(self, blob: Any) -> bytes:
        """The content with this id.

        Raises:
            LineageError: If a partial clone lacks it.
        """
        try:
            return bytes(self._commits.repository[blob].data)
        except KeyError as error:
            raise LineageError(
                f"this clone of {self._workspace.git_root} lacks the object {blob} of its history,"
                " as one made with --filter does: `git fetch --refetch --no-filter` brings all."
            ) from error

    @cached_property
    def present(self) -> dict[str, bytes]:
        """Path -> text of each DVC file in the working tree."""
        top = self._workspace.git_root
        globs = ["*dvc.lock", "*dvc.yaml", "*.dvc"]
        listed = git(
            self._workspace.root,
            *("ls-files", "-z", "--full-name", "--cached", "--others", "--exclude-standard"),
            "--",
            *globs,
        )
        paths = [path for path in dict.fromkeys(listed.split("\0")) if path]
        found = {
            path
            for path in paths
            if is_dvc_file(path)
            and (top / path).is_file()
            and not self._is_in_other_repository(path)
        }
        root = self._workspace.root
        folders = {folder for path in found for folder in (top / path).parents}
        patterns = {
            (folder / IGNORE).relative_to(root).as_posix(): (folder / IGNORE).read_bytes()
            for folder in folders
            if folder.is_relative_to(root) and (folder / IGNORE).is_file()
        }
        named = {(top / path).relative_to(root).as_posix(): path for path in found}
        found -= {named[name] for name in _ignored(named.keys(), patterns)}
        return {path: (top / path).read_bytes() for path in paths if path in found}

    def _is_in_other_repository(self, path: str) -> bool:
        folder = (self._workspace.git_root / path).parent
        while folder != self._workspace.root:
            if (folder / ".dvc").is_dir():
                return True
            folder = folder.parent
        return False


class FilesOfCommit:
    """The files of a commit, for who fills in templates.

    Args:
        dvc_files: Reads what they hold.
        tree: That of the commit.

    Attributes:
        asked: Path -> id of the content, or None, of those that were asked for.
    """

    def __init__(self, dvc_files: DvcFiles, tree: Any) -> None:
        self._dvc_files = dvc_files
        self._tree = tree
        self.asked: dict[str, Hashable | None] = {}

    def identity(self, path: str) -> Hashable | None:
        """The id of what a file holds; None where no file is there."""
        return self.asked.setdefault(path, blob_in(self._tree, path))

    def text(self, path: str) -> bytes:
        """What a file holds."""
        return self._dvc_files.text(self.identity(path))


class FilesOnDisk:
    """The same of the working tree, and of what `vars` names outside of it.

    Args:
        top: The git root.
    """

    def __init__(self, top: Path) -> None:
        self._top = top

    def identity(self, path: str) -> Hashable | None:
        """The file itself; None where there is none."""
        return path if is_file(self._top / path) else None

    def text(self, path: str) -> bytes:
        """What it holds now."""
        return (self._top / path).read_bytes()


def blob_in(tree: Any, path: str) -> Hashable | None:
    """The id of what a file holds in a tree of git; None where no file is there."""
    try:
        entry = tree[path]
    except (KeyError, ValueError):  # git has no name for what is outside of its tree
        return None
    return entry.id if entry.type_str == "blob" else None


def _ignored(paths: Set[str], patterns: Mapping[str, bytes]) -> set[str]:
    """Those of the paths that a ``.dvcignore`` hides from DVC."""
    lines = (line.strip() for text in patterns.values() for line in text.splitlines())
    if not paths or not any(line and not line.startswith(b"#") for line in lines):
        return set()
    from lineage.repository.ignoring import ignored

    return ignored(paths, patterns)
