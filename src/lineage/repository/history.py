"""What every git revision records of the data: all of its DVC files, read in one pass.

No process is started for a commit, and a file that many commits share is read once.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lineage.identity import DataId, Execution, canonical_json
from lineage.places import is_file, is_folder
from lineage.repository.code_at import CodeAt
from lineage.repository.commits import Commit, Commits
from lineage.repository.dvc_files import DvcFiles
from lineage.repository.items import Item, Observed
from lineage.repository.kept import is_in_tree
from lineage.repository.snapshot import Snapshot, is_pipeline
from lineage.repository.snapshots import Snapshots
from lineage.repository.workspace import Workspace

HASH = re.compile(rb"\b[0-9a-f]{32}(?:\.dir)?\b")


@dataclass(frozen=True)
class Locked:
    """An execution that locks record, and the revisions of those, oldest first."""

    observed: Observed
    commits: tuple[Commit, ...]


class History:
    """The revisions of a repository and what they record.

    Attributes:
        workspace: The working tree, which is the newest revision.
        commits: The others.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.commits = Commits(workspace)
        self._dvc_files = DvcFiles(workspace, self.commits)
        self._snapshots = Snapshots(workspace, self.commits, self._dvc_files)

    @property
    def unreadable(self) -> list[str]:
        """A sentence for each DVC file of the past that could not be read so far."""
        return self._snapshots.unreadable

    @property
    def warnings(self) -> list[str]:
        """What answers from this history cannot know."""
        missing = []
        if self.commits.is_shallow:
            oldest = min(self.commits.all, key=lambda commit: commit.time)
            missing.append(
                f"this clone is shallow: commits before {oldest.short} of"
                f" {oldest.time:%Y-%m-%d} are missing, so that versions recorded only there are"
                " unknown; fetch them with `git fetch --unshallow`."
            )
        return missing + self.unreadable

    # Of one revision.

    def snapshot(self, commit: Commit) -> Snapshot:
        """What a revision, or the working tree, records."""
        return self._snapshots.at(commit)

    @property
    def snapshot_of_head(self) -> Snapshot | None:
        """What the checked-out commit records; None before the first one."""
        head = self.commits.head
        return self.snapshot(self.commits.by_id[head]) if head else None

    @property
    def is_dirty(self) -> bool:
        """Whether the working tree records something else than the checked-out commit."""
        return self._snapshots.present != self.snapshot_of_head

    def is_here(self, data: DataId) -> bool:
        """Whether a DVC file names a path for these bytes at which a file or folder may have them.

        Only such paths are read, wherever else a tag may point to: to a device, or outside.
        """
        if data.path not in self._paths_here and all(
            item.path != data.path for item in self.items(data.hash)
        ):
            return False
        place = self.workspace.git_root / data.path
        # The place itself may be a link into the DVC cache.
        is_inside = Path(os.path.realpath(place.parent)).is_relative_to(self.workspace.git_root)
        return is_inside and (is_file(place) or is_folder(place))

    @cached_property
    def _paths_here(self) -> set[str]:
        present = self._snapshots.present
        deps = {dep.path for stage in present.stages for dep in stage.deps}
        return deps | {item.path for item in present.data}

    def keeps(self, path: str) -> bool:
        """Whether git keeps the bytes of a path, in the checked-out commit or in another one.

        Folders get other names, and a run may tell of a file by that which it had.
        """
        newest_first = (self.commits.present, *reversed(self.commits.by_id.values()))
        return any(is_in_tree(self.commits.tree(commit), path) for commit in newest_first)

    @cached_property
    def code(self) -> CodeAt:
        """What git itself keeps at revisions."""
        return CodeAt(self.workspace, self.commits, self._dvc_files)

    # By a hash or an execution, over all revisions.

    def hashes(self, prefix: str) -> list[str]:
        """Every hash in the history that begins so."""
        return sorted(digest for digest in self._index if digest.startswith(prefix))

    def containing(self, digest: str) -> list[Commit]:
        """The revisions whose DVC files hold this hash, oldest first, the working tree last."""
        keys = self._index.get(digest, set())
        return [commit for commit, files in self._files.items() if not keys.isdisjoint(files)]

    def writing(self, digest: str) -> list[Locked]:
        """Executions with this hash among their outputs."""
        return self._locked(digest, lambda stage: digest in stage.execution.outs.values())

    def reading(self, digest: str) -> list[Locked]:
        """Executions with this hash among their dependencies."""
        return self._locked(digest, lambda stage: digest in stage.execution.deps.values())

    def holding(self, execution: Execution) -> tuple[Commit, ...]:
        """The revisions whose lock holds this execution, oldest first."""
        digest = next(iter([*execution.outs.values(), *execution.deps.values()]), "")
        locked = self._locked(digest, lambda stage: stage.execution == execution)
        return next((each.commits for each in locked), ())

    def recorded(self, execution: Execution) -> Observed | None:
        """An execution as the oldest lock that holds it recorded it; None where no lock does."""
        stages = (self.snapshot(commit).stages for commit in self.holding(execution)[:1])
        return next((each for of in stages for each in of if each.execution == execution), None)

    def first(self, execution: Execution) -> Commit | None:
        """The oldest revision whose lock holds an execution; None where no commit does."""
        commits = self.holding(execution)
        return commits[0] if commits and commits[0].id else None

    def items(self, digest: str) -> list[Item]:
        """What is tracked with this hash: one item for each path, oldest first."""
        found: dict[str, Item] = {}
        for commit in self.containing(digest):
            for item in self.snapshot(commit).data:
                if item.hash == digest:
                    found.setdefault(item.path, item)
        return list(found.values())

    def producer(self, data: DataId) -> Observed | None:
        """The stage that wrote these bytes there, as the present lock or an older one says."""
        present = self._snapshots.present.writer(data)
        if present is not None:
            return present
        recorded = [locked.observed for locked in self.writing(data.hash)]
        writers = [observed for observed in recorded if observed.execution.wrote(data)]
        return writers[-1] if writers else None

    def names_of_data(self, data: DataId) -> tuple[str, ...]:
        """What people call the revisions at which these bytes are there.

        A lock may also hold an older hash: what a stage read that was not run again since.
        """

        def is_there(commit: Commit) -> bool:
            item = self.snapshot(commit).item(data.path)
            return item is not None and item.hash == data.hash

        commits = self.containing(data.hash)
        named = [commit for commit in commits if commit.names and is_there(commit)]
        first = (
            next((commit for commit in commits if is_there(commit)), None) if not named else None
        )
        return self.commits.names(named or ([first] if first else commits))

    def _locked(self, digest: str, matches: Callable[[Observed], bool]) -> list[Locked]:
        found: dict[str, tuple[Observed, list[Commit]]] = {}
        for commit in self.containing(digest):
            for stage in self.snapshot(commit).stages:
                if matches(stage):
                    key = _key(stage.execution)
                    found.setdefault(key, (stage, []))[1].append(commit)
        return [Locked(observed, tuple(commits)) for observed, commits in found.values()]

    # Reading.

    @cached_property
    def _files(self) -> dict[Commit, set[Any]]:
        """Revision -> what tells its lock and ``.dvc`` files apart; oldest first."""
        files = {
            commit: {
                blob for path, blob in self._dvc_files.of(commit).items() if not is_pipeline(path)
            }
            for commit in reversed(self.commits.all)
        }
        present = {key for key in self._dvc_files.present if not is_pipeline(key)}
        # Only what no commit holds makes the working tree a revision of its own.
        if self.is_dirty:
            files[self.commits.present] = present
        return files

    @cached_property
    def _index(self) -> dict[str, set[Any]]:
        """Hash -> the lock and ``.dvc`` files that hold it."""
        index: dict[str, set[Any]] = {}
        keys = {key for files in self._files.values() for key in files}
        for key in keys:
            is_present = isinstance(key, str)
            text = self._dvc_files.present[key] if is_present else self._dvc_files.text(key)
            for digest in HASH.findall(text):
                index.setdefault(digest.decode(), set()).add(key)
        return index


def _key(execution: Execution) -> str:
    return f"{execution.stage}\0{execution.signature}\0{canonical_json(dict(execution.outs))}"
