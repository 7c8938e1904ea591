"""Bring a tracking store up to what the lock says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.backfill import ensure_recorded_model, ensure_run
from lineage.registration import LABEL, Registration, register
from lineage.storage import exact
from lineage.workspace import Workspace, locked_stages

if TYPE_CHECKING:
    from mlflow import MlflowClient


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


def sync(client: "MlflowClient", workspace: Workspace) -> Synced:
    """Make sure that runs, models, versions and aliases of the present lock exist.

    Adds only what is missing, so that a second call adds nothing.

    Raises:
        LineageError: If a registration or a model is in neither workspace, cache nor remote.
    """
    stages = locked_stages(workspace)
    made, accepted = [], []
    for stage in stages:
        run, new = ensure_run(client, workspace, stage)
        if run is None:
            accepted.append(str(stage.execution.stage))
        elif new:
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
            version = register(client, workspace, registration)
            versions.append((f"models:/{version.name}/{version.version}", registration.verdict))
    return Synced(tuple(made), tuple(accepted), tuple(versions))
