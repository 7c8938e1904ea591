"""Parts of folders: which version of a folder holds which version of a file in it.

A stage may depend on a file inside of another's output, or on a folder around several. Both
have hashes of their own, and only the listing of the folder tells whether they belong together:
that they stand in one ``dvc.lock`` does not, since what a stage read may be older than what is
there now.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping

from lineage.repository.history import History
from lineage.repository.items import Item
from lineage.storage.locate import FOLDER, listings

Place = tuple[str, str]
"""Path and DVC hash."""


class Parts:
    """Compares folders with what is in them; reads each listing once.

    Args:
        history: Of the repository that the data belong to.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._listings: dict[str, Mapping[str, str] | None] = {}

    def belong(self, one: Place, others: Iterable[Place]) -> tuple[list[Place], list[Place]]:
        """Those of the others that hold this one, or are part of it; and those nobody knows of.

        Args:
            one: A path and its hash.
            others: Inside of that path, or around it.
        """
        others = list(others)
        around = [other for other in others if _is_inside(one[0], other[0])]
        self._read(digest for _, digest in [*around, one])
        for folder in (*around, one):
            if folder[1].endswith(FOLDER) and self._listings[folder[1]] is None:
                self._listings[folder[1]] = self._put_together(folder)
        belonging, unknown = [], []
        for other in others:
            folder, part = (other, one) if _is_inside(one[0], other[0]) else (one, other)
            match self._holds(folder, part):
                case True:
                    belonging.append(other)
                case None:
                    unknown.append(other)
        return belonging, unknown

    def _read(self, digests: Iterable[str]) -> None:
        new = {each for each in digests if each.endswith(FOLDER)} - self._listings.keys()
        if new:
            found = listings(self._history.workspace, new)
            self._listings.update({digest: found.get(digest) for digest in new})

    def _put_together(self, folder: Place) -> Mapping[str, str] | None:
        """The listing of a folder that is only read: DVC keeps one of outputs alone.

        Made from what a revision has in it, which counts only if it comes to the same hash.
        """
        path, digest = folder
        for commit in self._history.containing(digest):
            inside = [
                item
                for item in self._history.snapshot(commit).data
                if item.hash and _is_inside(item.path, path)
            ]
            if inside:
                files = self._history.files_below(commit, path) | self._files_of(inside, path)
                if _hash_of(files) == digest:
                    return files
        return None

    def _files_of(self, items: Iterable[Item], folder: str) -> dict[str, str]:
        """Path relative to the folder -> hash, of every file of these outputs that is known."""
        items = list(items)
        self._read(item.hash for item in items)
        files: dict[str, str] = {}
        for item in items:
            name = item.path.removeprefix(f"{folder}/")
            if not item.hash.endswith(FOLDER):
                files[name] = item.hash
            for below, digest in (self._listings.get(item.hash) or {}).items():
                files[f"{name}/{below}"] = digest
        return files

    def _holds(self, folder: Place, part: Place) -> bool | None:
        listing = self._listings.get(folder[1])
        if listing is None:
            return None
        name = part[0].removeprefix(f"{folder[0]}/")
        if not part[1].endswith(FOLDER):
            return listing.get(name) == part[1]
        below = {
            path.removeprefix(f"{name}/"): digest
            for path, digest in listing.items()
            if path.startswith(f"{name}/")
        }
        return _hash_of(below) == part[1]


def _is_inside(path: str, folder: str) -> bool:
    return path.startswith(f"{folder}/")


def _hash_of(files: Mapping[str, str]) -> str:
    """The hash that DVC gives a folder, of its listing (dvc_data.hashfile.tree)."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    text = json.dumps(listing, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER
