"""Bring a tracking store up to what the lock says."""

from dataclasses import dataclass
from typing import Any

from filelock import FileLock

from lineage.project import Project
from lineage.recording.backfill import ensure_recorded_model, ensure_run
from lineage.recording.registration import LABEL, Registration, register
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.storage.borrow import exact


@dataclass(frozen=True)
class Synced:
    """What `sync` found missing and made.

    Attributes:
        runs: Stages that got a backfilled run.
        accepted: Stages whose outputs no run made: somebody used ``dvc commit``.
        versions: Model versions that exist now, as ``models:/name/version``, with the
            verdict on each.
        warnings: Sentences about what could not be written down.
    """

    runs: tuple[str, ...]
    accepted: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runs": list(self.runs),
            "accepted": list(self.accepted),
            "versions": [{"id": each, "verdict": verdict} for each, verdict in self.versions],
            "warnings": list(self.warnings),
        }


def sync(project: Project, rev: str | None = None) -> Synced:
    """Make sure that runs, models, versions and aliases of a lock exist in the store.

    Adds only what is missing, so that a second call adds nothing.

    Args:
        project: Whose store, and whose lock.
        rev: A git revision; the working tree by default. Of an older one, the version does
            not become the candidate if there is one.

    Raises:
        LineageError: If there is no such revision; if a registration or a model is in neither
            workspace, cache nor remote.
    """
    # Two at once would each find the same runs missing.
    with FileLock(project.workspace.home / ".dvc" / "tmp" / "lineage-sync.lock"):
        return _sync(project, rev)


def _sync(project: Project, rev: str | None) -> Synced:
    client, workspace, history = project.client, project.workspace, project.history
    commit = history.present if rev is None else history.named(rev)
    stages = history.snapshot(commit).stages
    made, accepted, cut = [], [], []
    for stage in stages:
        first = history.first(stage.execution)
        run, is_new = ensure_run(client, workspace, stage, first, is_cut=_is_cut(history, first))
        if run is None:
            accepted.append(str(stage.execution.stage))
        elif is_new:
            made.append(str(stage.execution.stage))
            if _is_cut(history, first):
                cut.append(str(stage.execution.stage))
    outs = [item for stage in stages for item in stage.outs]
    for item in outs:
        if item.kind == "model":
            ensure_recorded_model(client, workspace, item)
    versions = []
    for item in outs:
        if LABEL in item.labels:
            with exact(workspace, item) as path:
                registration = Registration.read(path)
            is_newest = rev is None or commit.id == history.head
            version = register(client, workspace, registration, is_newest=is_newest)
            versions.append((f"models:/{version.name}/{version.version}", registration.verdict))
    warnings = [
        f"the commit that {stage} ran for is not written down, since this clone is shallow and it"
        " may be an older one: `git fetch --unshallow` before `lineage sync` brings it."
        for stage in cut
    ]
    return Synced(tuple(made), tuple(accepted), tuple(versions), tuple(warnings))


def _is_cut(history: History, commit: Commit | None) -> bool:
    return commit is not None and history.is_cut_at(commit)
