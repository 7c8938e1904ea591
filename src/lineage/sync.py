"""Bring a tracking store up to what the lock says."""

from dataclasses import dataclass
from typing import Any

from lineage.backfill import ensure_recorded_model, ensure_run
from lineage.project import Project
from lineage.registration import LABEL, Registration, register
from lineage.storage import exact


@dataclass(frozen=True)
class Synced:
    """What `sync` found missing and made.

    Attributes:
        runs: Stages that got a backfilled run.
        accepted: Stages whose outputs no run made: somebody used ``dvc commit``.
        versions: Model versions that exist now, as ``models:/name/version``, with the
            verdict on each.
    """

    runs: tuple[str, ...]
    accepted: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "runs": list(self.runs),
            "accepted": list(self.accepted),
            "versions": [{"id": each, "verdict": verdict} for each, verdict in self.versions],
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
    client, workspace, history = project.client, project.workspace, project.history
    commit = history.present if rev is None else history.named(rev)
    stages = history.snapshot(commit).stages
    made, accepted = [], []
    for stage in stages:
        run, is_new = ensure_run(client, workspace, stage, history.first(stage.execution))
        if run is None:
            accepted.append(str(stage.execution.stage))
        elif is_new:
            made.append(str(stage.execution.stage))
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
    return Synced(tuple(made), tuple(accepted), tuple(versions))
