"""Runs for executions that this tracking store never saw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lineage.identity import DataId
from lineage.project import Project
from lineage.recording import run_record
from lineage.repository.code import CodeState
from lineage.repository.commits import Commit
from lineage.repository.items import Observed
from lineage.repository.workspace import open_repo
from lineage.storage.borrow import exact, readable
from lineage.tracking import connection, models
from lineage.tracking.producer import Status
from lineage.tracking.tags import BACKFILLED, OUTPUT, RECORD

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Ensured:
    """The run of a locked execution, which the store has now.

    Attributes:
        run: The run; None where the lock was accepted by hand with ``dvc commit``: no run made
            those bytes, and none is invented.
        is_new: Whether it was written down just now.
        is_cut: Whether its commit is left out, since in this shallow clone an older one than
            the oldest that is here may be the first.
    """

    run: "Run | None"
    is_new: bool = False
    is_cut: bool = False


def ensure_run(project: Project, observed: Observed) -> Ensured:
    """Make sure that the store has a run for a locked execution.

    Its code and metrics are those of the oldest revision whose lock holds it.
    """
    found = project.runs.resolve(observed.execution)
    if found.producer is not None or found.status is Status.ACCEPTED:
        return Ensured(found.producer)
    commit = project.history.first(observed.execution)
    is_cut = commit is not None and project.history.commits.is_cut_at(commit)
    run = _write_down(project, observed, commit, is_cut=is_cut)
    project.forget_store()
    return Ensured(run, is_new=True, is_cut=is_cut)


def ensure_recorded_model(project: Project, data: DataId) -> str | None:
    """Make sure that MLflow has a model that DVC has, with the run that produced it.

    Returns:
        The id of the logged model; None where neither a package of the project nor
        `model_files` knows this kind of model.
    """
    client, workspace = project.client, project.workspace
    existing = models.find_model(client, data.hash)
    if existing is not None:
        return existing
    stage = project.history.producer(data)
    run = ensure_run(project, stage).run if stage else None
    experiment = run.info.experiment_id if run else connection.experiment_id(client, workspace)
    run_id = run.info.run_id if run else None
    with exact(workspace, data) as path:
        return models.ensure_model(client, experiment, run_id, path, data.hash)


def _write_down(
    project: Project, observed: Observed, commit: Commit | None, *, is_cut: bool
) -> "Run":
    from mlflow.entities import RunStatus

    client, workspace = project.client, project.workspace
    known = commit.id if commit and not is_cut else ""
    code = CodeState(known, "", False, "", project.repository_url)
    run = client.create_run(
        connection.experiment_id(client, workspace),
        # Not later than its commit: a run that another server has of it may come second.
        start_time=int(commit.time.timestamp() * 1000) if commit else None,
        run_name=observed.execution.stage.name,
        tags={
            **run_record.identity_tags(observed),
            **run_record.code_tags(code),
            BACKFILLED: "true",
        },
    )
    run_id = run.info.run_id
    status = RunStatus.FAILED
    try:
        run_record.log_params(client, run_id, observed)
        _log_datasets(project, run_id, observed, code)
        for name, value in dict(_metrics(project, observed, commit)).items():
            client.log_metric(run_id, name, value)
        whole = run_record.document(workspace, observed, code, with_environment=False)
        client.log_dict(run_id, whole, RECORD)
        status = RunStatus.FINISHED
    finally:
        client.set_terminated(run_id, RunStatus.to_string(status))
    return client.get_run(run_id)


def _log_datasets(project: Project, run_id: str, observed: Observed, code: CodeState) -> None:
    """Log what the stage read and wrote, with facts of those bytes that are still here."""
    data = [item for item in observed.deps + observed.outs if item.kind == "dataset"]
    written = {item.name: OUTPUT for item in observed.outs}
    with readable(project.workspace, [item.id for item in data]) as places:
        elsewhere = [item for item in data if item.id not in places]
        for items, contexts in ((observed.deps, {}), (observed.outs, written)):
            here = [replace(item, location=places.get(item.id, item.location)) for item in items]
            run_record.log_datasets(project.client, run_id, here, contexts, code, elsewhere)


def _metrics(
    project: Project, observed: Observed, commit: Commit | None
) -> Iterator[tuple[str, float]]:
    """What DVC's metrics files among the outputs say, where their bytes can be had."""
    with open_repo(project.workspace) as repo:
        shown = repo.metrics.show(revs=[commit.id] if commit else None)
    # With revisions, DVC answers for the working tree too.
    files: Mapping[str, Any] = shown.get(commit.id if commit else "", {}).get("data", {})
    places = {path: project.workspace.root / path for path in files}
    holding = {
        path: item
        for path, place in places.items()
        for item in observed.outs
        if place.is_relative_to(item.location)
    }
    # DVC reads objects of the cache without a look at their hash; git looks at its own.
    with readable(project.workspace, {item.id for item in holding.values()}) as sound:
        for path, item in holding.items():
            if commit:
                is_sound = item.id in sound or item.unpushed == "cache: false"
            else:  # it read the working tree
                is_sound = sound.get(item.id) == item.location
            if is_sound:
                yield from _numbers(files[path].get("data", {}))


def _numbers(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield run_record.allowed(f"{prefix}{key}"), float(value)
