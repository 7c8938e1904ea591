"""Parts of folders: which version of a folder holds which version of a file in it.

A stage may depend on a file inside of another's output, or on a folder around several. Both
have hashes of their own, and only the listing of the folder tells whether they belong together:
that they stand in one ``dvc.lock`` does not, since what a stage read may be older than what is
there now.
"""

from collections.abc import Iterable, Mapping

from lineage.identity import DataId, folder_hash
from lineage.repository.history import History
from lineage.storage.admit import FOLDER
from lineage.storage.locate import listings


class Parts:
    """Compares folders with what is in them; reads each listing once.

    Args:
        history: Of the repository that the data belong to.
    """

    def __init__(self, history: History) -> None:
        self._history = history
        self._listings: dict[str, Mapping[str, str] | None] = {}

    def belong(self, one: DataId, others: Iterable[DataId]) -> tuple[list[DataId], list[DataId]]:
        """Those of the others that hold this one, or are part of it; and those nobody knows of.

        Args:
            one: Some data.
            others: Inside of its path, or around it.
        """
        others = list(others)
        around = [other for other in others if one.is_inside(other)]
        self._read(each.hash for each in [*around, one])
        for folder in (*around, one):
            if folder.hash.endswith(FOLDER) and self._listings[folder.hash] is None:
                self._listings[folder.hash] = self._put_together(folder)
        belonging, unknown = [], []
        for other in others:
            folder, part = (other, one) if one.is_inside(other) else (one, other)
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

    def _put_together(self, folder: DataId) -> Mapping[str, str] | None:
        """The listing of a folder that is only read: DVC keeps one of outputs alone.

        Made from what a revision has in it, which counts only if it comes to the same hash.
        """
        for commit in self._history.containing(folder.hash):
            data = [item.id for item in self._history.snapshot(commit).data]
            inside = [each for each in data if each.hash and each.is_inside(folder)]
            if inside:
                in_git = self._history.code.files_below(commit, folder.path)
                files = in_git | self._files_of(inside, folder.path)
                if folder_hash(files) == folder.hash:
                    return files
        return None

    def _files_of(self, outputs: list[DataId], folder: str) -> dict[str, str]:
        """Path relative to the folder -> hash, of every file of these outputs that is known."""
        self._read(each.hash for each in outputs)
        files: dict[str, str] = {}
        for each in outputs:
            name = each.path.removeprefix(f"{folder}/")
            if not each.hash.endswith(FOLDER):
                files[name] = each.hash
            for below, digest in (self._listings.get(each.hash) or {}).items():
                files[f"{name}/{below}"] = digest
        return files

    def _holds(self, folder: DataId, part: DataId) -> bool | None:
        listing = self._listings.get(folder.hash)
        if listing is None:
            return None
        name = part.path.removeprefix(f"{folder.path}/")
        if not part.hash.endswith(FOLDER):
            return listing.get(name) == part.hash
        below = {
            path.removeprefix(f"{name}/"): digest
            for path, digest in listing.items()
            if path.startswith(f"{name}/")
        }
        return folder_hash(below) == part.hash
