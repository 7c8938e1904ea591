"""What each revision records: its DVC files, read once for all revisions that share them."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lineage.errors import LineageError
from lineage.places import is_file
from lineage.repository import dvc_yaml
from lineage.repository.commits import Commit, Commits
from lineage.repository.dvc_files import DvcFiles, FilesOfCommit, FilesOnDisk, blob_in
from lineage.repository.kept import is_in_list, is_in_tree
from lineage.repository.snapshot import Snapshot, is_pipeline
from lineage.repository.snapshot_reader import SnapshotReader
from lineage.repository.workspace import Workspace


class Snapshots:
    """Reads what revisions record.

    Args:
        workspace: The working tree.
        commits: The commits of its repository.
        dvc_files: The DVC files of all revisions.

    Attributes:
        problems: What is wrong with each DVC file of the past that cannot be read, and whose
            versions are therefore in no answer -> the commits. Grows as revisions are read.
    """

    def __init__(self, workspace: Workspace, commits: Commits, dvc_files: DvcFiles) -> None:
        self._workspace = workspace
        self._commits = commits
        self._dvc_files = dvc_files
        self._reader = SnapshotReader(workspace)
        self._readings: dict[tuple[tuple[str, Any], ...], list[_Reading]] = {}
        self.problems: dict[str, list[Commit]] = {}

    def at(self, commit: Commit) -> Snapshot:
        """What a revision, or the working tree, records."""
        if not commit.id:
            return self.present
        files = self._dvc_files.of(commit)
        tree = self._commits.tree(commit)
        readings = self._readings.setdefault(tuple(sorted(files.items())), [])
        for reading in readings:
            if reading.holds_in(tree):
                return reading.snapshot
        readings.append(self._read(commit, tree, files))
        return readings[-1].snapshot

    @property
    def unreadable(self) -> list[str]:
        """A sentence for each DVC file of the past that could not be read so far."""
        return [
            f"at commit {commits[0].short}"
            f"{f' and {len(commits) - 1} more' if len(commits) > 1 else ''}, {problem}"
            for problem, commits in (*self.problems.items(), *self._dvc_files.problems.items())
        ]

    def _read(self, commit: Commit, tree: Any, files: Mapping[str, Any]) -> "_Reading":
        texts = {path: self._dvc_files.text(blob) for path, blob in files.items()}
        kept: dict[str, bool] = {}
        of_commit = FilesOfCommit(self._dvc_files, tree)
        snapshot = self._reader.read(
            texts,
            lambda path: kept.setdefault(path, is_in_tree(tree, path)),
            of_commit,
            lambda error: self.problems.setdefault(str(error), []).append(commit),
        )
        return _Reading(snapshot, kept, of_commit.asked)

    @cached_property
    def present(self) -> Snapshot:
        """What the working tree records, whose files must be readable."""
        git = self._commits.repository
        git.index.read()
        tracked = [entry.path for entry in git.index]

        def refuse(error: LineageError) -> None:
            raise error

        for path, text in self._dvc_files.present.items():
            if is_pipeline(path):
                dvc_yaml.parse(text, path)  # of a pipeline that never ran, too

        def is_kept(path: str) -> bool:
            # A file that git neither tracks nor ignores is code that was not added yet.
            is_new = is_file(self._workspace.git_root / path)
            return is_in_list(tracked, path) or (is_new and not git.path_is_ignored(path))

        on_disk = FilesOnDisk(self._workspace.git_root)
        return self._reader.read(self._dvc_files.present, is_kept, on_disk, refuse)


@dataclass(frozen=True)
class _Reading:
    """A snapshot, and what it depends on beside the content of the DVC files.

    Attributes:
        snapshot: What the DVC files record.
        kept: Path -> whether git kept its bytes.
        asked: Path -> id of the content, of the other files that templates were filled in with.
    """

    snapshot: Snapshot
    kept: Mapping[str, bool]
    asked: Mapping[str, Hashable | None]

    def holds_in(self, tree: Any) -> bool:
        """Whether a commit with this tree, and the same DVC files, records the same."""
        return all(is_in_tree(tree, path) is kept for path, kept in self.kept.items()) and all(
            blob_in(tree, path) == blob for path, blob in self.asked.items()
        )
