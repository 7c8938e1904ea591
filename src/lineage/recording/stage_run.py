"""The context in which a stage does its work, and which writes its lineage down."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lineage import environment, plugins
from lineage.errors import LineageError, in_a_sentence, reason, tell_uncaught, without_secrets
from lineage.project import Project
from lineage.recording import attempt, run_record
from lineage.recording.backfill import ensure_recorded_model
from lineage.repository.code import CodeState
from lineage.repository.items import Item, Observed
from lineage.repository.stage_reader import running_stage
from lineage.repository.workspace import Workspace
from lineage.tracking import connection, models
from lineage.tracking.tags import ERROR, OUTPUT, RECORD

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lineage.tracking.dataset import DVCDataset

log = logging.getLogger("lineage")


@dataclass(frozen=True)
class StageRun:
    """A stage that runs: its paths, its MLflow run.

    Names are the last part of a path, without suffix: ``data/train`` is ``train``.

    Attributes:
        project: Where it runs, and its tracking store.
        run_id: Its MLflow run, which is the active one of ``mlflow``'s own functions.
        code: Which code it runs.
        observed: The stage and its dependencies, hashed before the work.
        outs: Where it is to write.
        model_ids: DVC hash of a model it reads -> the logged model in MLflow.
    """

    project: Project
    run_id: str
    code: CodeState
    observed: Observed
    outs: tuple[Path, ...]
    model_ids: Mapping[str, str]

    @property
    def workspace(self) -> Workspace:
        """Where it runs."""
        return self.project.workspace

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client of the tracking store."""
        return self.project.client

    def dep(self, name: str) -> Item:
        """The dependency of this name: of DVC's, or else of those that git keeps.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or several.
        """
        code = [item for item in self.observed.deps if item.kind == "code"]
        data = [item for item in self.observed.deps if item.kind != "code"]
        named = [item for item in data if item.name == name]
        named = named or [item for item in code if item.name == name]
        if len(named) != 1:
            paths = [item.path for item in named or [*data, *code]]
            raise LineageError(self._not_one("deps", name, paths, is_named=bool(named)))
        return named[0]

    def out(self, name: str) -> Path:
        """Where to write the output of this name.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or several.
        """
        named = [path for path in self.outs if path.stem == name]
        if len(named) != 1:
            paths = [self.workspace.name_of(path) for path in named or self.outs]
            raise LineageError(self._not_one("outs", name, paths, is_named=bool(named)))
        return named[0]

    def dataset(self, name: str) -> "DVCDataset":
        """The dataset version behind a dependency, to tie metrics to.

        Raises:
            LineageError: If ``dvc.yaml`` does not declare one, or git keeps it.
        """
        from lineage.tracking.dataset import DVCDataset

        item = self.dep(name)
        if item.kind == "code":
            raise LineageError(
                f"{item.path} is kept by git, which makes it code and no dataset version: give it"
                " to `dvc add`, or read it with run.dep."
            )
        return DVCDataset.of(item, plugins.facts(item.location), self.code.repository)

    def declares(self, path: Path) -> bool:
        """Whether a dependency of the stage covers this path."""
        return any(path.is_relative_to(item.location) for item in self.observed.deps)

    def _not_one(self, side: str, name: str, paths: Sequence[str], *, is_named: bool) -> str:
        """Why no one path has this name: several have it, or others are there."""
        stage = self.observed.execution.stage
        where = f"{stage.pipeline}: stage {stage.name}"
        if is_named:
            return (
                f"{where} declares {len(paths)} paths named {name!r} under {side},"
                f" {', '.join(paths)}: rename all but one of them."
            )
        there = ", ".join(f"{PurePosixPath(path).stem!r} ({path})" for path in paths)
        return (
            f"{where} declares no path named {name!r} under {side}: add it there, or say one of"
            f" {there or 'none'}; a name is the last part of a path, without its suffix."
        )


@contextmanager
def stage(contexts: Mapping[str, str] | None = None) -> Iterator[StageRun]:
    """Run the body as the work of the DVC stage that started this process.

    Opens the MLflow run and records what determines the result; when the body succeeds,
    records what it wrote. When it fails, the run is FAILED with the error's sentence, or
    KILLED when it was interrupted. Never changes what the stage computes. A `LineageError`
    that the script does not catch is printed without a traceback.

    Args:
        contexts: Name of a data dependency -> MLflow's context for it, such as
            ``training``.

    Raises:
        LineageError: Before any work, if this is not a DVC stage, if another process runs
            it here, or if the tracking store does not answer.
    """
    tell_uncaught()
    project = Project.find()
    workspace = project.workspace
    with (
        in_a_sentence(),
        running_stage(workspace) as reader,
        attempt.alone(workspace, reader.id) as this_attempt,
    ):
        plugins.check()
        store = connection.store_uri(workspace)
        with environment.importing("mlflow", for_good=True):
            client = project.client
        for killed in this_attempt.close_earlier(client, store):
            log.warning("run %s of an earlier attempt was left open; marked KILLED", killed)
        before = reader.before()
        model_ids = _models_of(project, before)
        code = CodeState.of(workspace, before.execution.deps, reader.written())
        run_id = _create_run(project, code, before)
        run = StageRun(project, run_id, code, before, reader.outs, model_ids)
        this_attempt.begin(run.run_id, store)
        with _active(run):
            _log_inputs(run, contexts or {})
            yield run
            _close_run(run, reader.after())
        this_attempt.end(store)


def _models_of(project: Project, before: Observed) -> dict[str, str]:
    """Make sure that MLflow has the models that the stage reads.

    It has none where their stage did not run against this store. That must happen before
    the stage's own run is active: MLflow would call the model an output of that.
    """
    found = {}
    for item in before.deps:
        if item.kind == "model":
            model_id = ensure_recorded_model(project, item.id)
            if model_id is not None:
                found[item.hash] = model_id
    return found


def _create_run(project: Project, code: CodeState, before: Observed) -> str:
    run = project.client.create_run(
        connection.experiment_id(project.client, project.workspace),
        run_name=before.execution.stage.name,
        tags={
            **run_record.identity_tags(before),
            **run_record.code_tags(code),
            **run_record.source_tags(before),
        },
    )
    return str(run.info.run_id)


def _log_inputs(run: StageRun, contexts: Mapping[str, str]) -> None:
    from mlflow.entities import LoggedModelInput

    run_record.log_params(run.client, run.run_id, run.observed)
    run_record.log_datasets(run.client, run.run_id, run.observed.deps, contexts, run.code)
    if run.model_ids:
        inputs = [LoggedModelInput(model_id) for model_id in run.model_ids.values()]
        run.client.log_inputs(run.run_id, models=inputs)


@contextmanager
def _active(run: StageRun) -> Iterator[None]:
    """Make the run MLflow's active one, and close it as the body ended."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    try:
        mlflow.start_run(run_id=run.run_id, log_system_metrics=True)
        yield
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        sentence = without_secrets(str(error)) or type(error).__name__
        try:
            mlflow.set_tags({ERROR: sentence, MLFLOW_RUN_NOTE: sentence})
            mlflow.end_run(status)
        except MlflowException as lost:
            # What stopped the stage matters more, and is raised below.
            log.warning("run %s could not be marked %s: %s", run.run_id, status, reason(lost))
        raise
    mlflow.end_run("FINISHED")


def _close_run(run: StageRun, after: Observed) -> None:
    """Write down what came out; nothing writes to it any more."""
    import mlflow

    before = run.observed
    # The run is known by what the stage was given, and by what it wrote.
    execution = replace(before.execution, outs=after.execution.outs)
    observed = replace(before, execution=execution, outs=after.outs)
    changed = run_record.changes(before, after)
    if changed:
        log.warning(
            "%s changed while stage %s ran: DVC records the new bytes, the stage may have read the"
            " old ones; run it again with `dvc repro -f %s`",
            ", ".join(changed),
            after.execution.stage,
            after.execution.stage,
        )
    mlflow.set_tags(
        {**run_record.identity_tags(observed), **run_record.change_tags(changed, after)}
    )
    contexts = {item.name: OUTPUT for item in after.outs}
    run_record.log_datasets(run.client, run.run_id, after.outs, contexts, run.code)
    for item in after.outs:
        if item.kind == "model":
            experiment = run.client.get_run(run.run_id).info.experiment_id
            models.ensure_model(run.client, experiment, run.run_id, item.location, item.hash)
    whole = run_record.document(run.workspace, observed, run.code)
    mlflow.log_dict({**whole, **({"changed": changed} if changed else {})}, RECORD)
