"""Runs for executions that this tracking store never saw."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lineage.recording import run_record
from lineage.repository.code import CodeState, repository_url
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.repository.items import Item, Observed
from lineage.repository.workspace import Workspace, open_repo
from lineage.storage.borrow import exact, readable
from lineage.tracking import connection, models
from lineage.tracking.producer import Status, resolve
from lineage.tracking.tags import BACKFILLED, OUTPUT, RECORD

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def ensure_run(
    client: "MlflowClient",
    workspace: Workspace,
    observed: Observed,
    commit: Commit | None = None,
    *,
    is_cut: bool = False,
) -> "tuple[Run | None, bool]":
    """Make sure that the store has a run for a locked execution.

    Args:
        client: Of the store.
        workspace: Where the lock is.
        observed: The execution.
        commit: The oldest revision whose lock holds it, with its code and metrics; None
            where nothing is committed yet.
        is_cut: In a shallow clone, an older one than that may be the first.

    Returns:
        The run, and whether it was made now. None where the lock was accepted by hand
        with ``dvc commit``: no run made those bytes, and none is invented.
    """
    found = resolve(client, observed.execution)
    if found.producer is not None:
        return found.producer, False
    if found.status is Status.ACCEPTED:
        return None, False
    return _write_down(client, workspace, observed, commit, is_cut), True


def _write_down(
    client: "MlflowClient",
    workspace: Workspace,
    observed: Observed,
    commit: Commit | None,
    is_cut: bool,
) -> "Run":
    from mlflow.entities import RunStatus

    known = commit if commit and commit.id else None
    code = known.id if known and not is_cut else ""
    revision = CodeState(code, "", False, "", repository_url(workspace))
    data = [item for item in observed.deps + observed.outs if item.kind == "dataset"]
    written = {item.name: OUTPUT for item in observed.outs}
    run = client.create_run(
        connection.experiment_id(client, workspace),
        # Not later than its commit: a run that another server has of it may come second.
        start_time=int(known.time.timestamp() * 1000) if known else None,
        run_name=observed.execution.stage.name,
        tags={**run_record.identity_tags(observed), **revision.tags(), BACKFILLED: "true"},
    )
    run_id = run.info.run_id
    status = RunStatus.FAILED
    try:
        run_record.log_params(client, run_id, observed)
        with readable(workspace, data) as places:
            elsewhere = [item for item in data if item not in places]
            for items, contexts in ((observed.deps, {}), (observed.outs, written)):
                here = [replace(item, location=places.get(item, item.location)) for item in items]
                run_record.log_datasets(client, run_id, here, contexts, revision, elsewhere)
        for name, value in _metrics(workspace, observed, known).items():
            client.log_metric(run_id, name, value)
        whole = run_record.document(workspace, observed, revision, with_environment=False)
        client.log_dict(run_id, whole, RECORD)
        status = RunStatus.FINISHED
    finally:
        client.set_terminated(run_id, RunStatus.to_string(status))
    return client.get_run(run_id)


def _metrics(workspace: Workspace, observed: Observed, commit: Commit | None) -> dict[str, float]:
    """What DVC's metrics files among the outputs say, where their bytes can be had."""
    with open_repo(workspace) as repo:
        shown = repo.metrics.show(revs=[commit.id] if commit else None)
    # With revisions, DVC answers for the working tree too.
    files: Mapping[str, Any] = shown.get(commit.id if commit else "", {}).get("data", {})
    top = workspace.root
    return {
        name: value
        for path, read in files.items()
        if any((top / path).is_relative_to(item.location) for item in observed.outs)
        for name, value in _numbers(read.get("data", {}))
    }


def _numbers(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((run_record.allowed(f"{prefix}{key}"), float(value)))
    return found


def producer_of(workspace: Workspace, item: Item) -> Observed | None:
    """The stage that wrote these bytes to this path, as the present lock or an older one says."""
    history = History(workspace)
    present = history.snapshot(history.present).writer(item.path, item.hash)
    if present is not None:
        return present
    recorded = [each.observed for each in history.writing(item.hash)]
    writers = [each for each in recorded if each.execution.outs.get(item.path) == item.hash]
    return writers[-1] if writers else None


def ensure_recorded_model(client: "MlflowClient", workspace: Workspace, item: Item) -> str | None:
    """Make sure that MLflow has a model that DVC has, with the run that produced it.

    Returns:
        The id of the logged model; None where neither a package of the project nor
        `model_files` knows this kind of model.
    """
    existing = models.find_model(client, item.hash)
    if existing is not None:
        return existing
    stage = producer_of(workspace, item)
    run = ensure_run(client, workspace, stage)[0] if stage else None
    experiment = run.info.experiment_id if run else connection.experiment_id(client, workspace)
    run_id = run.info.run_id if run else None
    with exact(workspace, item) as path:
        return models.ensure_model(client, experiment, run_id, path, item.hash)
