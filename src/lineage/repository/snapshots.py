"""What each revision records: its DVC files, read once for all revisions that share them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lineage.errors import LineageError
from lineage.repository import dvc_yaml
from lineage.repository.commits import Commit, Commits
from lineage.repository.dvc_files import DvcFiles
from lineage.repository.items import Observed
from lineage.repository.kept import is_in_list, is_in_tree
from lineage.repository.snapshot import PIPELINE_FILE, Snapshot
from lineage.repository.snapshot_reader import SnapshotReader
from lineage.repository.stage_reader import locked_stages
from lineage.repository.workspace import Workspace


class Snapshots:
    """Reads what revisions record.

    Args:
        workspace: The working tree.
        commits: The commits of its repository.
        dvc_files: The DVC files of all revisions.

    Attributes:
        unreadable: A sentence for each DVC file of the past that cannot be read, and whose
            versions are therefore in no answer. Grows as revisions are read.
    """

    def __init__(self, workspace: Workspace, commits: Commits, dvc_files: DvcFiles) -> None:
        self._workspace = workspace
        self._commits = commits
        self._dvc_files = dvc_files
        self._reader = SnapshotReader(workspace)
        self._readings: dict[tuple[tuple[str, Any], ...], list[_Reading]] = {}
        self.unreadable: dict[str, None] = {}

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

    def _read(self, commit: Commit, tree: Any, files: Mapping[str, Any]) -> "_Reading":
        texts = {path: self._dvc_files.text(blob) for path, blob in files.items()}
        kept: dict[str, bool] = {}
        filled_in = []

        def in_dvc() -> list[Observed]:
            filled_in.append(tree.id)
            return locked_stages(self._workspace, commit.id)

        snapshot = self._reader.read(
            texts,
            lambda path: kept.setdefault(path, is_in_tree(tree, path)),
            in_dvc,
            lambda error: self.unreadable.setdefault(f"at commit {commit.short}, {error}"),
        )
        return _Reading(snapshot, kept, filled_in[0] if filled_in else None)

    @cached_property
    def present(self) -> Snapshot:
        """What the working tree records, whose files must be readable."""
        git = self._commits.repository
        git.index.read()
        tracked = [entry.path for entry in git.index]

        def refuse(error: LineageError) -> None:
            raise error

        for path, text in self._dvc_files.present.items():
            if path.endswith(PIPELINE_FILE):
                dvc_yaml.parse(text, path)  # of a pipeline that never ran, too

        def is_kept(path: str) -> bool:
            # A file that git neither tracks nor ignores is code that was not added yet.
            is_new = (self._workspace.git_root / path).is_file()
            return is_in_list(tracked, path) or (is_new and not git.path_is_ignored(path))

        return self._reader.read(
            self._dvc_files.present, is_kept, lambda: locked_stages(self._workspace), refuse
        )


@dataclass(frozen=True)
class _Reading:
    """A snapshot, and what it depends on beside the content of the DVC files.

    Attributes:
        snapshot: What the DVC files record.
        kept: Path -> whether git kept its bytes.
        tree: The tree in which DVC filled in templates; None where it had to fill in none.
    """

    snapshot: Snapshot
    kept: Mapping[str, bool]
    tree: Any

    def holds_in(self, tree: Any) -> bool:
        """Whether a commit with this tree, and the same DVC files, records the same."""
        is_filled_in_alike = self.tree in (None, tree.id)
        return is_filled_in_alike and all(
            is_in_tree(tree, path) is kept for path, kept in self.kept.items()
        )
