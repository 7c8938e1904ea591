"""Which revision a report is about, and which one it is compared with."""

import re
from dataclasses import dataclass

from lineage.errors import LineageError
from lineage.formats.markdown import code
from lineage.project import Project
from lineage.repository.commits import WORKSPACE, Commit
from lineage.repository.git import git
from lineage.repository.history import History


@dataclass(frozen=True)
class Base:
    """The revision to compare with, or None, and a sentence that says which or why."""

    commit: Commit | None
    sentence: str


def subject_of(history: History, rev: str | None) -> tuple[str, Commit]:
    """What the report is about, with a name for it."""
    if rev is not None:
        return rev, _found(history, rev)
    head = history.commits.find(history.commits.head) if history.commits.head else None
    if head is None or history.is_dirty:
        return WORKSPACE, history.commits.present
    return called(head), head


def called(commit: Commit) -> str:
    """One name of a commit: the first that points to it, else its own."""
    return next(iter(commit.names), commit.short)


def _found(history: History, rev: str) -> Commit:
    commit = history.commits.find(rev)
    if commit is None:
        fetch = "git fetch --unshallow" if history.commits.is_shallow else "git fetch"
        raise LineageError(
            f"{rev} is no git revision of this clone: name a branch, a tag, a commit or a DVC"
            f" experiment, or get it with `{fetch}`."
        )
    return commit


def base_of(project: Project, commit: Commit, base: str | None) -> Base:
    """What a revision is compared with, and why that."""
    history = project.history
    if base is not None and not _is_branch(history, base):
        found = _found(history, base)
        return Base(found, f"Compared with {title(base, found)}.")
    branch = base or _default_branch(project)
    if branch is None:
        return Base(
            None,
            "Compared with nothing: neither origin/HEAD nor a branch main or master is here; name"
            " what to compare with by `--base`.",
        )
    common = reached(history, commit) & reached(history, _found(history, branch))
    # Newest first, and parents after their children.
    fork = next((each for each in history.commits.all if each.id in common), None)
    if fork and fork.id != commit.id:
        return Base(fork, f"Compared with {code(fork.short)}, where it left {code(branch)}.")
    parent = history.commits.by_id.get(commit.parents[0]) if commit.parents else None
    if fork and parent:
        return Base(parent, f"Compared with its parent {code(parent.short)}.")
    return Base(None, f"Compared with nothing: {_why_alone(history, commit, branch)}")


def _is_branch(history: History, name: str) -> bool:
    if re.search(r"[~^:{]", name):
        return False  # what git counts from a branch is another revision
    return any(history.commits.find(f"refs/{kind}/{name}") for kind in ("heads", "remotes"))


def _default_branch(project: Project) -> str | None:
    symbolic = ("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    named = git(project.workspace.git_root, *symbolic, check=False)
    branches = [named, "origin/main", "origin/master", "main", "master"]
    return next((each for each in branches if each and _is_branch(project.history, each)), None)


def _why_alone(history: History, commit: Commit, branch: str) -> str:
    if history.commits.is_shallow:
        return (
            "this clone is shallow, and lacks the commit to compare with; fetch it with"
            " `git fetch --unshallow`."
        )
    if not commit.parents:
        return "no commit came before."
    return f"it has no commit in common with {code(branch)}."


def reached(history: History, commit: Commit) -> frozenset[str]:
    """Ids of all commits that a commit reaches, itself among them."""
    reached: set[str] = set()
    waiting = [commit.id] if commit.id else list(commit.parents)
    while waiting:
        each = waiting.pop()
        found = history.commits.by_id.get(each) or history.commits.find(each)
        if found is not None and each not in reached:
            reached.add(each)
            waiting += found.parents
    return frozenset(reached)


def title(name: str, commit: Commit) -> str:
    """A revision in a heading, by its name and its commit."""
    if not commit.id:
        return "the working tree"
    return code(name) if commit.id.startswith(name) else f"{code(name)} ({code(commit.short)})"
