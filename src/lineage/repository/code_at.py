"""What git keeps at commits, by the hashes that DVC gives it: which one has a stage's code."""

import hashlib
import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from lineage.identity import DataId, folder_hash
from lineage.repository.commits import Commit, Commits
from lineage.repository.dvc_files import IGNORE, DvcFiles
from lineage.repository.workspace import Workspace


class CodeAt:
    """Compares code with what git has at commits; each file and folder is hashed once.

    Args:
        workspace: The working tree.
        commits: The commits of its repository.
        dvc_files: Reads what git keeps.
    """

    def __init__(self, workspace: Workspace, commits: Commits, dvc_files: DvcFiles) -> None:
        self._prefix = workspace.name_of(workspace.root)
        self._commits = commits
        self._dvc_files = dvc_files
        self._hashes: dict[Any, str] = {}

    def differing(self, commit: Commit, code: Iterable[DataId]) -> list[str]:
        """Paths at which a commit has other bytes than these, or none."""
        return [each.path for each in code if self._hash(commit, each.path) != each.hash]

    def first_with(self, code: Iterable[DataId], commits: Iterable[Commit]) -> Commit | None:
        """The first of some commits that has all of it."""
        code = list(code)
        return next((each for each in commits if not self.differing(each, code)), None)

    def files_below(self, commit: Commit, folder: str) -> dict[str, str]:
        """Path relative to a folder -> md5 of each file that git keeps in it at a revision.

        Of the working tree, at the commit that is checked out.
        """
        tree = self._commits.tree(commit)
        # Only a .gitignore may be there, which is part of the folder for DVC.
        entry = _entry(tree, folder)
        return {path: self._md5(blob) for path, blob in _blobs(entry)}

    def _hash(self, commit: Commit, path: str) -> str:
        """The DVC hash of a file or folder as git has it; empty where it has none."""
        tree = self._commits.tree(commit)
        entry = _entry(tree, path)
        if entry is None or entry.type_str == "commit":  # a submodule
            return ""
        if entry.type_str == "blob":
            return self._md5(entry)
        patterns = dict(self._patterns(tree, path))
        key = (path, entry.id, *sorted(patterns.items()))
        if key not in self._hashes:
            files = {f"{path}/{name}": blob for name, blob in _blobs(entry)}
            hidden = self._hidden(files, patterns)
            kept = {
                name.removeprefix(f"{path}/"): self._md5(blob)
                for name, blob in files.items()
                if name not in hidden
            }
            self._hashes[key] = folder_hash(kept)
        return self._hashes[key]

    def _patterns(self, tree: Any, folder: str) -> Iterator[tuple[str, bytes]]:
        """The ``.dvcignore`` files in and above a folder, and what they hold."""
        above = [folder[:place] for place, letter in enumerate(folder) if letter == "/"]
        names = [posixpath.join(each, IGNORE) for each in ("", *above)]
        found = {name: tree[name] for name in names if name in tree}
        inside = {f"{folder}/{name}": blob for name, blob in _blobs(tree[folder])}
        found |= {name: blob for name, blob in inside.items() if name.endswith(f"/{IGNORE}")}
        for name, blob in found.items():
            yield name, self._dvc_files.text(blob.id)

    def _hidden(self, paths: Iterable[str], patterns: dict[str, bytes]) -> set[str]:
        """Those of the paths that DVC passes over, relative to its own root."""
        if not patterns:
            return set()
        from lineage.repository.ignoring import ignored

        below = "" if self._prefix == "." else f"{self._prefix}/"
        named = {path.removeprefix(below): path for path in paths if path.startswith(below)}
        own = {
            name.removeprefix(below): text
            for name, text in patterns.items()
            if name.startswith(below)
        }
        return {named[name] for name in ignored(named, own)}

    def _md5(self, blob: Any) -> str:
        if blob.id not in self._hashes:
            text = self._dvc_files.text(blob.id)
            self._hashes[blob.id] = hashlib.md5(text, usedforsecurity=False).hexdigest()
        return self._hashes[blob.id]


def _entry(tree: Any, path: str) -> Any:
    try:
        return tree[path]
    except KeyError:
        return None


def _blobs(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every file in a folder, by its path relative to that."""
    for entry in tree if tree is not None and tree.type_str == "tree" else ():
        if entry.type_str == "tree":
            yield from ((f"{entry.name}/{path}", blob) for path, blob in _blobs(entry))
        elif entry.type_str == "blob":
            yield entry.name, entry
