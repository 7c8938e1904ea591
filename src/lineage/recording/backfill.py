"""Runs for executions that this tracking store never saw."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lineage.identity import DataId, Execution, canonical_json
from lineage.project import Project
from lineage.recording import run_record
from lineage.recording.measures import metrics_of
from lineage.repository.code import CodeState
from lineage.repository.commits import Commit
from lineage.repository.items import Observed
from lineage.repository.whose import Whose
from lineage.storage.borrow import exact, readable
from lineage.tracking import connection, models, tags
from lineage.tracking.dataset_inputs import datasets_of
from lineage.tracking.producer import Status, is_sound
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
    run = _run_that_made(project, data)
    experiment = run.info.experiment_id if run else connection.experiment_id(client, workspace)
    run_id = run.info.run_id if run else None
    with exact(workspace, data) as path:
        return models.ensure_model(client, experiment, run_id, path, data.hash)


def origin_tags(project: Project, data: DataId) -> dict[str, str]:
    """What made a model: the data, the code and the run, as tags of its version."""
    here = {tags.REPOSITORY: project.repository_url, tags.ROOT: project.root_commit}
    found = {name: value for name, value in here.items() if value}
    run = _run_that_made(project, data)
    execution = project.runs.execution(run) if run else None
    if run is not None and execution is not None:
        stage = project.history.recorded(execution)
        read = _data_of(stage) if stage else _named_data(run, execution)
        status = Status.RECORDED if is_sound(run) else Status.CHANGED
        found |= {tags.SIGNATURE: execution.signature, tags.RUN: run.info.run_id}
        found |= {tags.COMMIT: run.data.tags.get(tags.COMMIT, "")}
    else:
        stage = project.history.producer(data)
        if stage is None:
            return found
        read, status = _data_of(stage), project.runs.resolve(stage.execution).status
        found |= {tags.SIGNATURE: stage.execution.signature}
    found |= {tags.DATA: canonical_json(read), tags.STATUS: status.value}
    return {name: value for name, value in found.items() if value}


def _run_that_made(project: Project, data: DataId) -> "Run | None":
    """The oldest run of this repository that wrote these bytes; written down, where it has none.

    Sound ones come before those under which something changed; of several of one moment, as when
    they were written down later, the one that wrote them to this path.
    """

    def rank(run: "Run") -> tuple[bool, int, bool]:
        execution = project.runs.execution(run)
        is_elsewhere = not (execution and execution.wrote(data))
        return not is_sound(run), run.info.start_time, is_elsewhere

    made = [
        run
        for run in project.runs.writing(data.hash)
        if tags.SIGNATURE in run.data.tags and project.runs.whose(run) is Whose.OURS
    ]
    if made:
        return min(made, key=rank)
    stage = project.history.producer(data)
    return ensure_run(project, stage).run if stage else None


def _data_of(stage: Observed) -> dict[str, str]:
    return {dep.path: dep.hash for dep in stage.deps if dep.kind != "code"}


def _named_data(run: "Run", execution: Execution) -> dict[str, str]:
    """What a run read and named as a dataset, which code never is; where no lock holds it."""
    named = {dataset.digest for dataset, _ in datasets_of(run)}
    return {path: digest for path, digest in execution.deps.items() if digest in named}


def _write_down(
    project: Project, observed: Observed, commit: Commit | None, *, is_cut: bool
) -> "Run":
    from mlflow.entities import RunStatus

    client, workspace = project.client, project.workspace
    known = commit.id if commit and not is_cut else ""
    code = CodeState(known, "", False, "", project.repository_url, project.root_commit)
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
        for name, value in metrics_of(workspace, observed.outs, commit).items():
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
