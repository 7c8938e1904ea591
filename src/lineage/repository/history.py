"""What every git revision records of the data: all of its DVC files, read in one pass.

No process is started for a commit, and a file that many commits share is read once.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from lineage.errors import LineageError
from lineage.identity import Execution, canonical_json, from_root
from lineage.repository import fast_yaml
from lineage.repository.commits import ABBREVIATED, SHORT, WORKSPACE, Commit, _name_of_reference
from lineage.repository.git import git
from lineage.repository.items import Item, Observed
from lineage.repository.snapshot import PIPELINE, Snapshot, SnapshotReader, is_dvc_file, is_pipeline
from lineage.repository.stage_reader import locked_stages
from lineage.repository.workspace import Workspace

HASH = re.compile(rb"\b[0-9a-f]{32}(?:\.dir)?\b")
IGNORE = ".dvcignore"


@dataclass(frozen=True)
class Locked:
    """An execution that locks record, and the revisions of those, oldest first."""

    observed: Observed
    commits: tuple[Commit, ...]


class History:
    """The revisions of a repository and what they record.

    Attributes:
        workspace: Whose history.
        unreadable: A sentence for each DVC file of the past that cannot be read, and whose
            versions are therefore in no answer. Grows as revisions are read.
    """

    def __init__(self, workspace: Workspace) -> None:
        import pygit2

        self.workspace = workspace
        self.unreadable: dict[str, None] = {}
        try:
            self._git: Any = pygit2.Repository(str(workspace.git_root))
        except pygit2.GitError as error:
            raise LineageError(f"git refuses {workspace.git_root}: {error}") from error
        self._prefix = workspace.name_of(workspace.root)
        self._trees: dict[Any, dict[str, Any]] = {}
        self._snapshots: dict[tuple[tuple[str, Any], ...], list[_Reading]] = {}
        self._reader = SnapshotReader(workspace)

    @property
    def is_shallow(self) -> bool:
        """Whether this clone lacks older commits."""
        return bool(self._git.is_shallow)

    @property
    def warnings(self) -> list[str]:
        """What answers from this history cannot know."""
        missing = []
        if self.is_shallow:
            oldest = min(self.commits, key=lambda commit: commit.time)
            missing.append(
                f"this clone is shallow: commits before {oldest.short} of"
                f" {oldest.time:%Y-%m-%d} are missing, so that versions recorded only there are"
                " unknown; fetch them with `git fetch --unshallow`."
            )
        return missing + list(self.unreadable)

    @cached_property
    def tips(self) -> dict[str, dict[str, str]]:
        """Name -> reference -> id of the commit: branches, remote branches, tags, experiments.

        A name may have several references: a branch and a tag, experiments of two baselines.
        """
        import pygit2

        tips: dict[str, dict[str, str]] = {}
        for reference in self._git.references.iterator():
            name = _name_of_reference(reference.name)
            if name is None:
                continue
            try:
                commit = reference.peel(pygit2.Commit)
            except (pygit2.InvalidSpecError, pygit2.GitError, KeyError):
                continue  # a tag of a blob or tree names no revision
            tips.setdefault(name, {})[reference.name] = str(commit.id)
        return tips

    @cached_property
    def head(self) -> str:
        """The id of the checked-out commit; empty before the first one."""
        return "" if self._git.head_is_unborn else str(self._git.head.target)

    @cached_property
    def commits(self) -> tuple[Commit, ...]:
        """Every commit that a name or HEAD reaches, newest first."""
        from pygit2.enums import SortMode

        names: dict[str, set[str]] = {self.head: set()} if self.head else {}
        for name, references in self.tips.items():
            for commit in references.values():
                names.setdefault(commit, set()).add(name)
        if not names:
            return ()
        walk = self._git.walk(None, SortMode.TOPOLOGICAL | SortMode.TIME)
        for start in sorted(names):
            walk.push(start)
        return tuple(
            Commit(
                str(commit.id),
                datetime.fromtimestamp(commit.commit_time, UTC),
                tuple(str(parent) for parent in commit.parent_ids),
                commit.message.partition("\n")[0],
                tuple(sorted(names.get(str(commit.id), ()))),
            )
            for commit in walk
        )

    @cached_property
    def by_id(self) -> dict[str, Commit]:
        """Id -> commit."""
        return {commit.id: commit for commit in self.commits}

    @cached_property
    def present(self) -> Commit:
        """The working tree, as if it were a commit on top of HEAD."""
        parents = (self.head,) if self.head else ()
        return Commit("", datetime.now(UTC), parents, "what is not committed yet", (WORKSPACE,))

    def find(self, name: str) -> Commit | None:
        """The commit that a git revision or the name of an experiment means; None if none.

        Raises:
            LineageError: If it is the name of several.
        """
        import pygit2

        meant = self.tips.get(name, {})
        if len(set(meant.values())) > 1:
            listed = ", ".join(f"{each} ({meant[each][:SHORT]})" for each in sorted(meant))
            raise LineageError(f"{name} may mean {len(meant)} revisions: write one of {listed}.")
        if meant:
            return self.by_id[next(iter(meant.values()))]
        try:
            found = self._git.revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            return self._abbreviated(name)
        identity = str(found.id)
        # A commit that no branch reaches any more is a revision none the less.
        return self.by_id.get(identity) or Commit(
            identity,
            datetime.fromtimestamp(found.commit_time, UTC),
            tuple(str(parent) for parent in found.parent_ids),
            found.message.partition("\n")[0],
            (),
        )

    def _abbreviated(self, prefix: str) -> Commit | None:
        """The commit whose id begins so, where other objects of git do too."""
        if not ABBREVIATED.fullmatch(prefix):
            return None
        meant = [identity for identity in self.by_id if identity.startswith(prefix)]
        if len(meant) > 1:
            raise LineageError(
                f"{prefix} may mean {len(meant)} commits: {', '.join(sorted(meant))}; write more"
                " of it."
            )
        return self.by_id[meant[0]] if meant else None

    def named(self, name: str) -> Commit:
        """The commit that a git revision or the name of an experiment means.

        Raises:
            LineageError: If there is none.
        """
        found = self.find(name)
        if found is None:
            missing = (
                "; this clone is shallow, `git fetch --unshallow` brings older ones"
                if self.is_shallow
                else "; `git fetch --tags` brings those of origin"
            )
            raise LineageError(f"{name} is no revision of this git repository{missing}.")
        return found

    def first(self, execution: Execution) -> Commit | None:
        """The oldest revision whose lock holds an execution; None where no commit does."""
        commits = self.holding(execution)
        return commits[0] if commits and commits[0].id else None

    def is_cut_at(self, commit: Commit) -> bool:
        """Whether older commits than this one are not in this shallow clone."""
        # libgit2 gives the oldest commits of a shallow clone no parents; what they say has them.
        header = self._git[commit.id].read_raw().partition(b"\n\n")[0]
        parents = re.findall(rb"^parent ([0-9a-f]+)$", header, re.MULTILINE)
        return any(parent.decode() not in self.by_id for parent in parents)

    def reaches(self, commit: str) -> bool:
        """Whether a branch, tag, experiment or HEAD reaches the commit."""
        return commit in self.by_id

    def snapshot(self, commit: Commit) -> Snapshot:
        """What a revision, or the working tree, records."""
        if not commit.id:
            return self._present_snapshot
        files = self._files_of(commit)
        key = tuple(sorted(files.items()))
        tree = self._git[commit.id].tree
        readings = self._snapshots.setdefault(key, [])
        for reading in readings:
            if reading.holds_in(tree):
                return reading.snapshot
        readings.append(self._read(commit, tree, files))
        return readings[-1].snapshot

    def containing(self, digest: str) -> list[Commit]:
        """The revisions whose DVC files hold this hash, oldest first, the working tree last."""
        keys = self._index.get(digest, set())
        return [commit for commit, files in self._files.items() if not keys.isdisjoint(files)]

    def hashes(self, prefix: str) -> list[str]:
        """Every hash in the history that begins so."""
        return sorted(digest for digest in self._index if digest.startswith(prefix))

    def writing(self, digest: str) -> list[Locked]:
        """Executions with this hash among their outputs."""
        return self._locked(digest, lambda stage: digest in stage.execution.outs.values())

    def reading(self, digest: str) -> list[Locked]:
        """Executions with this hash among their dependencies."""
        return self._locked(digest, lambda stage: digest in stage.execution.deps.values())

    def keeps(self, path: str) -> bool:
        """Whether git keeps the bytes of a path in the checked-out commit."""
        return bool(self.head) and _in_tree(self._git[self.head].tree, path)

    def files_below(self, commit: Commit, folder: str) -> dict[str, str]:
        """Path relative to a folder -> md5 of each file that git keeps in it at a revision.

        Of the working tree, at the commit that is checked out.
        """
        identity = commit.id or self.head
        root = self._git[identity].tree if identity else {}
        found: dict[str, str] = {}
        # Only a .gitignore may be there, which is part of the folder for DVC.
        waiting = [("", root[folder])] if folder in root else []
        while waiting:
            above, tree = waiting.pop()
            for entry in tree if tree.type_str == "tree" else ():
                if entry.type_str == "tree":
                    waiting.append((f"{above}{entry.name}/", entry))
                elif entry.type_str == "blob":
                    md5 = hashlib.md5(self._text(entry.id), usedforsecurity=False)
                    found[above + entry.name] = md5.hexdigest()
        return found

    def holding(self, execution: Execution) -> tuple[Commit, ...]:
        """The revisions whose lock holds this execution, oldest first."""
        digest = next(iter([*execution.outs.values(), *execution.deps.values()]), "")
        return next(
            (
                locked.commits
                for locked in self._locked(digest, lambda stage: stage.execution == execution)
            ),
            (),
        )

    def items(self, digest: str) -> list[Item]:
        """What is tracked with this hash: one item for each path, oldest first."""
        found: dict[str, Item] = {}
        for commit in self.containing(digest):
            for item in self.snapshot(commit).data:
                if item.hash == digest:
                    found.setdefault(item.path, item)
        return list(found.values())

    def names_of_data(self, path: str, digest: str) -> tuple[str, ...]:
        """What people call the revisions at which these bytes are there.

        A lock may also hold an older hash: what a stage read that was not run again since.
        """

        def is_there(commit: Commit) -> bool:
            item = self.snapshot(commit).item(path)
            return item is not None and item.hash == digest

        commits = self.containing(digest)
        named = [commit for commit in commits if commit.names and is_there(commit)]
        first = (
            next((commit for commit in commits if is_there(commit)), None) if not named else None
        )
        return self.names(named or ([first] if first else commits))

    def names(self, commits: Iterable[Commit]) -> tuple[str, ...]:
        """What people call these revisions: names that point to one, else the oldest commit."""
        commits = list(commits)
        committed = [commit for commit in commits if commit.id]
        named = [name for commit in committed for name in commit.names]
        if named:
            return tuple(dict.fromkeys(named))
        return tuple(commit.short for commit in (committed or commits)[:1])

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
            commit: {blob for path, blob in self._files_of(commit).items() if not is_pipeline(path)}
            for commit in reversed(self.commits)
        }
        present = {key for key in self._present_texts if not is_pipeline(key)}
        # Only what no commit holds makes the working tree a revision of its own.
        if self._present_snapshot != self.snapshot_of_head:
            files[self.present] = present
        return files

    @property
    def snapshot_of_head(self) -> Snapshot | None:
        """What the checked-out commit records; None before the first one."""
        return self.snapshot(self.by_id[self.head]) if self.head else None

    @cached_property
    def _index(self) -> dict[str, set[Any]]:
        """Hash -> the lock and ``.dvc`` files that hold it."""
        index: dict[str, set[Any]] = {}
        keys = {key for files in self._files.values() for key in files}
        for key in keys:
            text = self._present_texts[key] if isinstance(key, str) else self._text(key)
            for digest in HASH.findall(text):
                index.setdefault(digest.decode(), set()).add(key)
        return index

    def _files_of(self, commit: Commit) -> dict[str, Any]:
        """Path -> blob of each DVC file of a commit."""
        tree = self._git[commit.id].tree
        if self._prefix != ".":
            try:
                tree = tree[self._prefix]
            except KeyError:
                return {}
            if tree.type_str != "tree":
                return {}
        below = self._dvc_files(tree, is_root=True)
        return {from_root(path, self._prefix): blob for path, blob in below.items()}

    def _dvc_files(self, tree: Any, *, is_root: bool) -> dict[str, Any]:
        if tree.id in self._trees:
            return self._trees[tree.id]
        files = {}
        is_other_repository = not is_root and ".dvc" in tree and tree[".dvc"].type_str == "tree"
        for entry in () if is_other_repository else tree:
            if entry.type_str == "tree" and entry.name != ".dvc":
                below = self._dvc_files(entry, is_root=False)
                files.update({f"{entry.name}/{path}": blob for path, blob in below.items()})
            elif entry.type_str == "blob" and is_dvc_file(entry.name):
                files[entry.name] = entry.id
        if files and IGNORE in tree:
            ignored = _ignored(self._text(tree[IGNORE].id), files)
            files = {path: blob for path, blob in files.items() if path not in ignored}
        self._trees[tree.id] = files
        return files

    def _text(self, blob: Any) -> bytes:
        try:
            return bytes(self._git[blob].data)
        except KeyError as error:
            raise LineageError(
                f"this clone of {self.workspace.git_root} lacks the object {blob} of its history,"
                " as one made with --filter does: `git fetch --refetch --no-filter` brings all."
            ) from error

    def _read(self, commit: Commit, tree: Any, files: Mapping[str, Any]) -> "_Reading":
        texts = {path: self._text(blob) for path, blob in files.items()}
        kept: dict[str, bool] = {}
        filled_in = []

        def in_dvc() -> list[Observed]:
            filled_in.append(tree.id)
            return locked_stages(self.workspace, commit.id)

        snapshot = self._reader.read(
            texts,
            lambda path: kept.setdefault(path, _in_tree(tree, path)),
            in_dvc,
            lambda error: self.unreadable.setdefault(f"at commit {commit.short}, {error}"),
        )
        return _Reading(snapshot, kept, filled_in[0] if filled_in else None)

    @cached_property
    def _present_texts(self) -> dict[str, bytes]:
        """Path -> text of each DVC file in the working tree."""
        top = self.workspace.git_root
        patterns = ["*dvc.lock", "*dvc.yaml", "*.dvc", "*params.yaml"]
        listed = git(
            self.workspace.root,
            *("ls-files", "-z", "--full-name", "--cached", "--others", "--exclude-standard"),
            "--",
            *patterns,
        )
        paths = [path for path in dict.fromkeys(listed.split("\0")) if path]
        found = {
            path
            for path in paths
            if is_dvc_file(path)
            and (top / path).is_file()
            and not self._is_in_other_repository(path)
        }
        folders = {folder for path in found for folder in (top / path).parents}
        for folder in folders:
            if folder.is_relative_to(self.workspace.root) and (folder / IGNORE).is_file():
                below = [path for path in found if (top / path).is_relative_to(folder)]
                named = {(top / path).relative_to(folder).as_posix(): path for path in below}
                ignored = _ignored((folder / IGNORE).read_bytes(), named)
                found -= {named[name] for name in ignored}
        return {path: (top / path).read_bytes() for path in paths if path in found}

    def _is_in_other_repository(self, path: str) -> bool:
        folder = (self.workspace.git_root / path).parent
        while folder != self.workspace.root:
            if (folder / ".dvc").is_dir():
                return True
            folder = folder.parent
        return False

    @cached_property
    def _present_snapshot(self) -> Snapshot:
        """Of the working tree, whose files must be readable."""
        index = self._git.index
        index.read()
        tracked = [entry.path for entry in index]

        def refuse(error: LineageError) -> None:
            raise error

        for path, text in self._present_texts.items():
            if path.endswith(PIPELINE):
                fast_yaml.parse(text, path)  # of a pipeline that never ran, too

        def is_kept(path: str) -> bool:
            # A file that git neither tracks nor ignores is code that was not added yet.
            is_new = (self.workspace.git_root / path).is_file()
            return _in_list(tracked, path) or (is_new and not self._git.path_is_ignored(path))

        return self._reader.read(
            self._present_texts, is_kept, lambda: locked_stages(self.workspace), refuse
        )


@dataclass(frozen=True)
class _Reading:
    """A snapshot, and what it depends on beside the content of the DVC files.

    Attributes:
        snapshot: It.
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
            _in_tree(tree, path) is kept for path, kept in self.kept.items()
        )


def _key(execution: Execution) -> str:
    return f"{execution.stage}\0{execution.signature}\0{canonical_json(dict(execution.outs))}"


def _ignored(patterns: bytes, paths: Iterable[str]) -> set[str]:
    """Those of the paths that a ``.dvcignore`` beside them hides from DVC."""
    from pathspec import GitIgnoreSpec

    spec = GitIgnoreSpec.from_lines(patterns.decode(errors="replace").splitlines())
    return set(spec.match_files(paths))


def _in_tree(tree: Any, path: str) -> bool:
    """Whether git keeps the bytes of a path in a commit."""
    try:
        entry = tree[path]
    except KeyError:
        return False
    return entry.type_str == "blob" or _has_visible(entry)


def _has_visible(tree: Any) -> bool:
    # A folder of which git keeps a `.gitkeep` and the like holds data that it ignores.
    return any(
        _has_visible(entry) if entry.type_str == "tree" else not entry.name.startswith(".")
        for entry in tree
    )


def _in_list(tracked: Iterable[str], path: str) -> bool:
    """The same for a working tree, given what git tracks in it."""
    return any(
        name == path
        or (name.startswith(f"{path}/") and not PurePosixPath(name).name.startswith("."))
        for name in tracked
    )
