"""The commits of a repository, and the names that people have for them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace

EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")
"""Where DVC keeps a finished experiment: under its baseline's commit, by its name."""

WHOLE = re.compile(r"[0-9a-f]{40}")
ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
SHORT = 8
"""Digits of a commit where it is shown to people."""

FIRST_S, LAST_S = 0, 253_402_300_799
"""The dates that a commit can have here: 1970 to 9999. Git takes any number."""

WORKSPACE = "workspace"
"""Name of what is in the working tree and in no commit yet."""


@dataclass(frozen=True)
class Commit:
    """A git commit, or the working tree as if it were one.

    Attributes:
        id: Its hash; empty for the working tree.
        time: When it was committed, in UTC.
        parents: Their ids.
        subject: The first line of its message.
        names: Branches, tags and DVC experiments that point to it.
    """

    id: str
    time: datetime
    parents: tuple[str, ...]
    subject: str
    names: tuple[str, ...]

    @property
    def short(self) -> str:
        """The id as people are shown it."""
        return self.id[:SHORT] or WORKSPACE


class Commits:
    """Every commit of a clone, found by whatever people call it.

    Attributes:
        repository: The open repository, as libgit2 has it.
    """

    def __init__(self, workspace: Workspace) -> None:
        import pygit2

        try:
            self.repository: Any = pygit2.Repository(str(workspace.git_root))
        except pygit2.GitError as error:
            raise LineageError(f"git refuses {workspace.git_root}: {error}") from error

    @property
    def is_shallow(self) -> bool:
        """Whether this clone lacks older commits."""
        return bool(self.repository.is_shallow)

    @cached_property
    def tips(self) -> dict[str, dict[str, str]]:
        """Name -> reference -> id of the commit: branches, remote branches, tags, experiments.

        A name may have several references: a branch and a tag, experiments of two baselines.
        """
        import pygit2

        tips: dict[str, dict[str, str]] = {}
        for reference in self.repository.references.iterator():
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
        return "" if self.repository.head_is_unborn else str(self.repository.head.target)

    @cached_property
    def all(self) -> tuple[Commit, ...]:
        """Every commit that a name or HEAD reaches, newest first."""
        from pygit2.enums import SortMode

        names: dict[str, set[str]] = {self.head: set()} if self.head else {}
        for name, references in self.tips.items():
            for commit in references.values():
                names.setdefault(commit, set()).add(name)
        if not names:
            return ()
        walk = self.repository.walk(None, SortMode.TOPOLOGICAL | SortMode.TIME)
        for start in sorted(names):
            walk.push(start)
        return tuple(_read(commit, names.get(str(commit.id), ())) for commit in walk)

    @cached_property
    def by_id(self) -> dict[str, Commit]:
        """Id -> commit."""
        return {commit.id: commit for commit in self.all}

    @cached_property
    def places(self) -> dict[str, int]:
        """Id -> its place among all commits: the newest has the lowest, a parent a higher one."""
        return {commit.id: place for place, commit in enumerate(self.all)}

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
            found = self.repository.revparse_single(name).peel(pygit2.Commit)
        except (KeyError, ValueError, pygit2.GitError):
            return self._abbreviated(name)
        # A commit that no branch reaches any more is a revision none the less.
        return self.by_id.get(str(found.id)) or _read(found)

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

    def names(self, commits: Iterable[Commit]) -> tuple[str, ...]:
        """What people call these revisions: names that point to one, else the oldest commit."""
        commits = list(commits)
        committed = [commit for commit in commits if commit.id]
        named = [name for commit in committed for name in commit.names]
        if named:
            return tuple(dict.fromkeys(named))
        return tuple(commit.short for commit in (committed or commits)[:1])

    def is_cut_at(self, commit: Commit) -> bool:
        """Whether older commits than this one are not in this shallow clone."""
        # libgit2 gives the oldest commits of a shallow clone no parents; what they say has them.
        header = self.repository[commit.id].read_raw().partition(b"\n\n")[0]
        parents = re.findall(rb"^parent ([0-9a-f]+)$", header, re.MULTILINE)
        return any(parent.decode() not in self.by_id for parent in parents)

    def has(self, commit: str) -> bool | None:
        """Whether this clone has a commit, reached by a name or not; None if it may lack it.

        A shallow clone lacks older ones.
        """
        if WHOLE.fullmatch(commit) and commit in self.repository:
            return True
        return None if self.is_shallow else False

    def is_before(self, one: str, other: str) -> bool:
        """Whether a commit is another one, or an ancestor of it.

        The working tree, whose id is empty, comes before none; neither does anything come before
        a commit that this clone lacks.
        """
        if not one or not self.has(other):
            return False
        return one == other or bool(self.repository.descendant_of(other, one))

    def reaches(self, commit: str) -> bool:
        """Whether a branch, tag, experiment or HEAD reaches the commit."""
        return commit in self.by_id

    def tree(self, commit: Commit) -> Any:
        """What git keeps at a commit; of the working tree, at the one that is checked out."""
        identity = commit.id or self.head
        return self.repository[identity].tree if identity else {}


def _read(commit: Any, names: Iterable[str] = ()) -> Commit:
    return Commit(
        str(commit.id),
        _time(commit.commit_time),
        tuple(str(parent) for parent in commit.parent_ids),
        # In whatever encoding its author wrote; git itself shows it somehow, too.
        commit.raw_message.partition(b"\n")[0].decode(errors="replace"),
        tuple(sorted(names)),
    )


def _time(seconds: int) -> datetime:
    """When a commit says that it was made; the nearest that Python has a date for."""
    return datetime.fromtimestamp(min(max(seconds, FIRST_S), LAST_S), UTC)


def _name_of_reference(reference: str) -> str | None:
    """What people call a reference; None for those that are no names of revisions."""
    experiment = EXPERIMENT_REF.fullmatch(reference)
    if experiment:
        return experiment[1]
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
        if reference.startswith(prefix) and not reference.endswith("/HEAD"):
            return reference.removeprefix(prefix)
    return None
