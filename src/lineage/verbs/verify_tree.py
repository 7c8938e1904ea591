"""The working tree is what DVC recorded of it."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from lineage.errors import bare_url
from lineage.identity import StageId, from_root
from lineage.places import is_there
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.repository.snapshot import Snapshot
from lineage.repository.workspace import Workspace, as_dvc_reads
from lineage.verbs.verify_break import Break, Check
from lineage.words import some

ALWAYS_CHANGED = "always changed"
"""What ``dvc status`` says of a stage that is to run each time, whatever is there."""


def defined_stages(workspace: Workspace, repo: Any) -> dict[StageId, bool]:
    """Every stage of an open DVC repository, and whether it is frozen."""
    with as_dvc_reads(workspace.root):
        stages = repo.index.stages
    return {
        _id(workspace, repo, stage): bool(stage.frozen)
        for stage in stages
        if getattr(stage, "name", None)
    }


def _id(workspace: Workspace, repo: Any, stage: Any) -> StageId:
    prefix = workspace.name_of(workspace.root)
    return StageId(from_root(repo.fs.relpath(stage.path, repo.root_dir), prefix), stage.name)


def _is_locked(workspace: Workspace, repo: Any, stage: Any, locked: Collection[StageId]) -> bool:
    """Whether a lock holds a stage; what was added by ``dvc add`` needs none."""
    return not getattr(stage, "name", None) or _id(workspace, repo, stage) in locked


def differences(repo: Any, snapshot: Snapshot, workspace: Workspace) -> Iterator[Break]:
    """What ``dvc status`` says, but for data that is not checked out, and stages never run."""
    tracked = [item.location for item in snapshot.data]
    locked = {stage.execution.stage for stage in snapshot.stages}
    never_run = {
        stage.addressing
        for stage in repo.index.stages
        if not _is_locked(workspace, repo, stage, locked)
    }
    with as_dvc_reads(workspace.root):
        status = _status(repo)
    for stage, changes in status.items():
        for change in changes if stage not in never_run else ():
            for path, state in _flat(change):
                # A link to itself leads to itself.
                place = Path(os.path.realpath(Path(repo.root_dir, path)))
                is_data = any(place.is_relative_to(each) for each in tracked)
                # Data that is elsewhere is not different, and nothing else needs it here.
                if is_data and state in ("deleted", "not in cache"):
                    continue
                parts = [each for each in tracked if each.is_relative_to(place)]
                if not is_data and not all(is_there(part) for part in parts):
                    continue
                named = bare_url(path)
                yield Break(
                    Check.DIFFERS,
                    named,
                    f"{named} ({stage}) is {state} against what DVC recorded: bring the recorded"
                    f" state back with git and `dvc checkout`, or run `dvc repro {stage}`.",
                )


def _status(repo: Any) -> dict[str, Any]:
    """What ``dvc status --no-updates`` says, and of what an import was made of nothing.

    DVC would clone the repository that it names, which a reader of the working tree need neither
    have nor trust.
    """
    from dvc.repo import lock_repo

    status: dict[str, Any] = {}
    with lock_repo(repo):
        for stage in repo.index.stages:
            stage.frozen = stage.frozen or stage.is_repo_import
            status |= stage.status()
    return status


def _flat(change: Any) -> Iterator[tuple[str, str]]:
    """(path or param, state) of each change that ``dvc status`` reports for a stage."""
    if change == ALWAYS_CHANGED:
        return
    if isinstance(change, str):  # such as "changed command"
        yield change.removeprefix("changed "), "changed"
        return
    for changed in change.values():
        for path, state in changed.items():
            if isinstance(state, Mapping):
                yield from ((f"{path}:{param}", str(each)) for param, each in state.items())
            else:
                yield path, str(state)


def other_code(history: History, commit: Commit, rev: str) -> Iterator[Break]:
    """Code of a revision that is not what its locks say that was read."""
    for stage in history.snapshot(commit).stages:
        read = [dep.id for dep in stage.deps if dep.kind == "code" and dep.hash]
        differing = history.code.differing(commit, read)
        if differing:
            name = stage.execution.stage
            yield Break(
                Check.DIFFERS,
                str(name),
                f"stage {name}: {rev} has another {some(differing)} than its lock records that was"
                f" read: run `dvc repro {name}` there, or ask `lineage checkout … --code` for the"
                " commit that has it.",
            )
