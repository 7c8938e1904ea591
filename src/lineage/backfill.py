"""Runs for executions that this tracking store never saw."""

from typing import TYPE_CHECKING

from lineage import models, record, tracking
from lineage.resolve import Status, resolve
from lineage.revision import Revision, repository_url
from lineage.storage import exact, in_place
from lineage.workspace import Item, Observed, Workspace, locked_stages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BACKFILLED = "lineage.backfilled"
"""Tag of a run that was written down later, from what git and DVC know."""


def ensure_run(
    client: "MlflowClient", workspace: Workspace, observed: Observed
) -> "tuple[Run | None, bool]":
    """Make sure that the store has a run for a locked execution.

    Returns:
        The run, and whether it was made now. None where the lock was accepted by hand
        with ``dvc commit``: no run made those bytes, and none is invented.
    """
    from mlflow.entities import RunStatus

    found = resolve(client, observed.execution)
    if found.producer is not None:
        return found.producer, False
    if found.status is Status.ACCEPTED:
        return None, False
    # The code of that time is unknown here; only what the lock holds is written down.
    revision = Revision("", "", False, "", repository_url(workspace))
    data = [item for item in observed.deps + observed.outs if item.kind == "dataset"]
    there = in_place(workspace, data)
    elsewhere = [item for item in data if item not in there]
    written = {item.name: record.OUTPUT for item in observed.outs}
    run = client.create_run(
        tracking.experiment_id(client, workspace),
        run_name=observed.execution.stage.name,
        tags={**record.identity_tags(observed), **revision.tags(), BACKFILLED: "true"},
    )
    run_id = run.info.run_id
    status = RunStatus.FAILED
    try:
        record.log_params(client, run_id, observed)
        record.log_datasets(client, run_id, observed.deps, {}, revision, elsewhere)
        record.log_datasets(client, run_id, observed.outs, written, revision, elsewhere)
        status = RunStatus.FINISHED
    finally:
        client.set_terminated(run_id, RunStatus.to_string(status))
    return client.get_run(run_id), True


def producer_of(workspace: Workspace, item: Item) -> Observed | None:
    """The locked stage that wrote these bytes to this path."""
    return next(
        (
            stage
            for stage in locked_stages(workspace)
            if stage.execution.outs.get(item.path) == item.hash
        ),
        None,
    )


def ensure_recorded_model(client: "MlflowClient", workspace: Workspace, item: Item) -> str | None:
    """Make sure that MLflow has a model that DVC has, with the run that produced it.

    Returns:
        The id of the logged model; None where no package of the project knows this kind
        of model.
    """
    existing = models.find_model(client, item.hash)
    if existing is not None:
        return existing
    stage = producer_of(workspace, item)
    run = ensure_run(client, workspace, stage)[0] if stage else None
    experiment = run.info.experiment_id if run else tracking.experiment_id(client, workspace)
    run_id = run.info.run_id if run else None
    with exact(workspace, item) as path:
        return models.ensure_model(client, experiment, run_id, path, item.hash)
