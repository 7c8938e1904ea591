"""Which code: what git says of the working tree."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from lineage.errors import bare_url
from lineage.repository.git import git
from lineage.repository.workspace import Workspace

NOT_CODE = ("machine", "tracking")
"""Sections of ``params.yaml`` that say how and where, not what."""


@dataclass(frozen=True)
class CodeState:
    """What git knew when a stage ran.

    Attributes:
        commit: The checked-out commit; for an experiment, its baseline. Empty before
            the first commit.
        branch: The branch, or empty when none is checked out.
        dirty: Whether code differs from the commit. Files that DVC writes by itself do
            not count, nor do the ``machine`` and ``tracking`` sections of params.yaml.
        experiment: The DVC experiment's name, or empty.
        repository: Where ``origin`` is, without credentials; empty for local paths.
        root: The first commit of its history, which tells repositories apart that have no
            ``origin``; empty in a shallow clone, and before the first commit.
    """

    commit: str
    branch: str
    dirty: bool
    experiment: str
    repository: str
    root: str = ""

    @classmethod
    def of(
        cls, workspace: Workspace, dependencies: Iterable[str], outputs: Iterable[str] = ()
    ) -> "CodeState":
        """Read it.

        Args:
            workspace: The working tree.
            dependencies: Paths relative to the git root. Files that git does not track
                count as changes only inside one of them.
            outputs: The same for what stages write. DVC removes it before a stage runs,
                which is no change of code where git keeps it.
        """
        top = workspace.git_root
        return cls(
            commit=git(top, "rev-parse", "--verify", "--quiet", "HEAD", check=False),
            branch=git(top, "symbolic-ref", "--quiet", "--short", "HEAD", check=False),
            dirty=any(
                _is_code_change(workspace, change, dependencies)
                for change in _changes(top)
                if not _is_inside(change.path, outputs)
            ),
            experiment=os.environ.get("DVC_EXP_NAME", ""),
            repository=repository_url(workspace),
            root=root_commit(workspace),
        )


def repository_url(workspace: Workspace) -> str:
    """The URL of ``origin`` without credentials, or "" where it is a path or missing."""
    url = git(workspace.git_root, "config", "--get", "remote.origin.url", check=False)
    if "://" in url and not url.startswith("file:"):
        return bare_url(url)
    # The short form of ssh, user@host:path; the user is part of the address, not a secret.
    return url if "@" in url.partition(":")[0] else ""


def root_commit(workspace: Workspace) -> str:
    """The first commit of the history; empty where a shallow clone lacks it, or there is none."""
    top = workspace.git_root
    if git(top, "rev-parse", "--is-shallow-repository") == "true":
        return ""
    return git(top, "rev-list", "--first-parent", "--max-parents=0", "HEAD", "--", check=False)


def address(url: str) -> str:
    """Host and path of a git URL, the same for https and ssh, with and without ``.git``."""
    if "://" in url:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path
    else:
        host, _, path = url.rpartition("@")[2].partition(":")
    return f"{host.lower()}/{path.strip('/').removesuffix('.git')}" if host else ""


class _Change(NamedTuple):
    """A file that differs from the commit; ``status`` as in ``git status --porcelain``."""

    status: str
    path: str


def _changes(top: Path) -> list[_Change]:
    """Every changed or untracked file, renames as their new name."""
    listing = git(top, "status", "--porcelain=v1", "-z", "--untracked-files=all")
    fields = iter(listing.split("\0"))
    changes: list[_Change] = []
    for field in fields:
        if not field:
            continue
        status, path = field[:2], field[3:]
        if "R" in status or "C" in status:
            next(fields)  # the old name
        changes.append(_Change(status, path))
    return changes


def _is_inside(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _is_code_change(workspace: Workspace, change: _Change, dependencies: Iterable[str]) -> bool:
    if change.path.rpartition("/")[2] in ("dvc.lock", ".gitignore"):
        return False
    if change.status == "??":
        return _is_inside(change.path, dependencies)
    if change.path == workspace.name_of(workspace.root / "params.yaml"):
        return _code_params(workspace, "HEAD") != _code_params(workspace, None)
    return True


def _code_params(workspace: Workspace, rev: str | None) -> Mapping[str, Any]:
    from dvc.utils.serialize import parse_yaml

    path = workspace.root / "params.yaml"
    if rev is None:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
    else:
        text = git(workspace.git_root, "show", f"{rev}:{workspace.name_of(path)}", check=False)
    values = parse_yaml(text, str(path)) if text else {}
    return {key: value for key, value in values.items() if key not in NOT_CODE}
