"""A stage's run, from before its work until after it."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lineage import environment, plugins
from lineage.errors import reason, without_secrets
from lineage.project import Project
from lineage.recording import attempt, run_record
from lineage.recording.fluent import active, measured
from lineage.recording.kept import Kept, kept
from lineage.recording.measures import log_measures
from lineage.recording.spooling import ids_of_models, record_model, spooled
from lineage.recording.stage_run import StageRun
from lineage.repository.code import CodeState
from lineage.repository.items import Observed
from lineage.repository.processes import command_began
from lineage.repository.stage_reader import StageReader
from lineage.repository.touched import clock_ahead
from lineage.spool.spool import Spool, unseen
from lineage.tracking import connection
from lineage.tracking.tags import ERROR, OUTPUT, RECORD

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("lineage")


@dataclass(frozen=True)
class Begun:
    """What a stage was given, as it was before anything slow.

    Attributes:
        observed: The stage and its dependencies.
        late: Paths of those that were written to after the stage's command had begun: it may have
            read what was there before.
        code: Which code it runs.
    """

    observed: Observed
    late: tuple[str, ...]
    code: CodeState

    def for_next(self) -> dict[str, Any]:
        """What the stage's next command is to know of it, for JSON."""
        execution = self.observed.execution
        return {
            "signature": execution.signature,
            "deps": dict(execution.deps),
            "params": {file: dict(values) for file, values in self.observed.params.items()},
            "late": list(self.late),
        }

    def of_first(self, earlier: Mapping[str, Any]) -> "Begun":
        """What the stage's first command was given, as `for_next` told."""
        execution = replace(
            self.observed.execution, signature=earlier["signature"], deps=earlier["deps"]
        )
        observed = replace(self.observed, execution=execution, params=earlier["params"])
        return replace(self, observed=observed, late=tuple(earlier["late"]))


def begin(project: Project, reader: StageReader) -> Begun:
    """Hash what a stage is given. Nothing that takes its time may come before this."""
    began = command_began() + clock_ahead(project.workspace.private)
    observed = reader.before()
    late = tuple(dict.fromkeys(reader.touched_since(began)))
    if late:
        log.warning(
            "%s changed after the command of stage %s had begun: it may have read what was there"
            " before; run it again with `dvc repro -f %s`",
            ", ".join(late),
            *[observed.execution.stage] * 2,
        )
    code = CodeState.of(project.workspace, observed.execution.deps, reader.written())
    plugins.check()
    return Begun(observed, late, code)


@contextmanager
def recorded(
    project: Project,
    reader: StageReader,
    begun: Begun,
    contexts: Mapping[str, str],
    *,
    commands: int = 1,
    with_measures: bool = False,
    goes_on: bool = False,
) -> Iterator[StageRun]:
    """Open the run of a stage for the block, and close it as the block ended.

    When it succeeds, what it wrote is recorded. When it fails, the run is FAILED with the error's
    sentence, or KILLED where it was interrupted. Whatever the block does to MLflow's active run,
    the record is of this one.

    Args:
        project: Where it runs, and its tracking store.
        reader: Of the stage.
        begun: What it was given.
        contexts: Name of a data dependency -> MLflow's context for it.
        commands: How many commands of the stage are recorded together: the run is left open for
            the next one, until the last closes it.
        goes_on: Whether to go on from what a stopped attempt left, in its run.
        with_measures: Log the metrics and plots that ``dvc.yaml`` declares; else the block logs
            what it measures.

    Raises:
        LineageError: Before the block, if another process runs the stage here, or if the tracking
            store does not answer.
    """
    with (
        attempt.alone(project.workspace, reader.id) as this_attempt,
        environment.importing("mlflow", for_good=True),
        spooled(project, str(reader.id)) as spool,
    ):
        store = connection.store_uri(project.workspace)
        earlier = this_attempt.left(store) if commands > 1 else None
        number = earlier["number"] + 1 if earlier else 1
        killed = _close_earlier(project, this_attempt, spool)
        model_ids = ids_of_models(project, spool, begun.observed.deps)
        begun = begun.of_first(earlier) if earlier else begun
        with kept(project, begun.observed) if goes_on else nullcontext() as folder:
            open_run = _run_to_go_on_with(project, spool, earlier, folder)
            _tell_killed(killed, None if earlier else open_run)
            opening = Opening(project, begun, this_attempt, spool, folder)
            with _opened(opening, open_run, leave_open=number < commands) as run_id:
                about = (project, run_id, begun.code, begun.observed, reader.outs, model_ids)
                run = StageRun(*about, spool, folder)
                if not open_run:
                    _log_inputs(run, contexts)
                yield run
                if number >= commands:
                    _close(run, reader, begun, with_measures=with_measures)
        if number >= commands:
            this_attempt.end(store)
        else:
            this_attempt.leave(run_id, store, {**begun.for_next(), "number": number})


def _close_earlier(project: Project, this_attempt: attempt.Attempt, spool: Spool) -> list[str]:
    """Mark the runs that killed attempts left open, once their store answers."""
    if spool.sender.is_away:
        return []
    store = connection.store_uri(project.workspace)
    return this_attempt.close_earlier(project.client, store, spool.called)


def _run_to_go_on_with(
    project: Project, spool: Spool, earlier: Mapping[str, Any] | None, folder: Kept | None
) -> str | None:
    """The run of the stage's earlier command, or else of an attempt that was stopped."""
    if earlier:
        return spool.called(earlier["run_id"])
    return folder.run_to_go_on_with(project.client, spool) if folder else None


@dataclass(frozen=True)
class Opening:
    """What the run of a stage is opened with."""

    project: Project
    begun: Begun
    attempt: attempt.Attempt
    spool: Spool
    folder: Kept | None


@contextmanager
def _opened(opening: Opening, open_run: str | None, *, leave_open: bool) -> Iterator[str]:
    """Make a run, or an earlier one that is gone on with, the active one of the block."""
    project, spool, begun = opening.project, opening.spool, opening.begun
    client, store = project.client, connection.store_uri(project.workspace)
    if open_run:
        spool.adopt(unseen(open_run) if spool.sender.is_away else client.get_run(open_run))
    with ExitStack() as opened:
        # Nobody would close a run that was made, and not noted yet.
        with attempt.held_back():
            run_id = open_run or _create_run(project, begun, spool)
            opening.attempt.begin(run_id, store)
            if opening.folder:
                opening.folder.begin(run_id)
            opened.enter_context(closing(client, run_id, leave_open=leave_open))
        if open_run:
            _reopen(client, run_id, begun.code)
        opened.enter_context(measured(client, run_id, goes_on=open_run is not None))
        opened.enter_context(active(run_id))
        yield run_id


def _create_run(project: Project, begun: Begun, spool: Spool) -> str:
    client, is_away = project.client, spool.sender.is_away
    run = client.create_run(
        "" if is_away else connection.experiment_id(client, project.workspace),
        run_name=begun.observed.execution.stage.name,
        tags={
            **run_record.identity_tags(begun.observed),
            **run_record.code_tags(begun.code),
            **run_record.source_tags(str(begun.observed.execution.stage)),
        },
    )
    return str(run.info.run_id)


def _close(run: StageRun, reader: StageReader, begun: Begun, *, with_measures: bool) -> None:
    after = reader.after()
    if with_measures:
        log_measures(run, reader, after.outs)
    close(run, after, begun.late)


def _tell_killed(killed: Iterable[str], open_run: str | None) -> None:
    """Say what becomes of the runs of attempts that were killed."""
    for run_id in killed:
        if run_id != open_run:
            log.warning("run %s of an earlier attempt was left open; marked KILLED", run_id)
    if open_run:
        log.warning("goes on in run %s, whose attempt was stopped", open_run)


def _reopen(client: "MlflowClient", run_id: str, code: CodeState) -> None:
    """Let a run that was stopped be one that goes on, of the code that is here now."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    tags = client.get_run(run_id).data.tags
    client.update_run(run_id, status="RUNNING")
    for name in {ERROR, MLFLOW_RUN_NOTE} & tags.keys():
        client.delete_tag(run_id, name)
    for name, value in run_record.code_tags(code).items():
        client.set_tag(run_id, name, value)


def _log_inputs(run: StageRun, contexts: Mapping[str, str]) -> None:
    from mlflow.entities import LoggedModelInput

    run_record.log_params(run.client, run.run_id, run.observed)
    run_record.log_datasets(run.client, run.run_id, run.observed.deps, contexts, run.code)
    if run.model_ids:
        inputs = [LoggedModelInput(model_id) for model_id in run.model_ids.values()]
        run.client.log_inputs(run.run_id, models=inputs)


@contextmanager
def closing(client: "MlflowClient", run_id: str, *, leave_open: bool = False) -> Iterator[None]:
    """Give the run the status that the block ended with; where it went well, perhaps none yet."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except BaseException as error:
        status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
        try:
            tell(client, run_id, error)
            client.set_terminated(run_id, status)
        except MlflowException as lost:
            # What stopped the stage matters more, and is raised below.
            log.warning("run %s could not be marked %s: %s", run_id, status, reason(lost))
        raise
    if not leave_open:
        client.set_terminated(run_id, "FINISHED")


def tell(client: "MlflowClient", run_id: str, error: BaseException) -> None:
    """Give a run the sentence of what stopped it, unless it has a more precise one."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    if ERROR not in client.get_run(run_id).data.tags:
        sentence = without_secrets(str(error)) or type(error).__name__
        for name in (ERROR, MLFLOW_RUN_NOTE):
            client.set_tag(run_id, name, sentence)


def close(run: StageRun, after: Observed, late: Iterable[str] = ()) -> None:
    """Write down what came out; nothing writes to it any more."""
    before, client, run_id = run.observed, run.client, run.run_id
    # The run is known by what the stage was given, and by what it wrote.
    execution = replace(before.execution, outs=after.execution.outs)
    observed = replace(before, execution=execution, outs=after.outs)
    changed = run_record.changes(before, after, late)
    if changed:
        log.warning(
            "%s changed while stage %s ran: DVC records the new bytes, the stage may have read the"
            " old ones; run it again with `dvc repro -f %s`",
            ", ".join(changed),
            *[after.execution.stage] * 2,
        )
    marks = {**run_record.identity_tags(observed), **run_record.change_tags(changed, after)}
    for name, value in marks.items():
        client.set_tag(run_id, name, value)
    contexts = {item.name: OUTPUT for item in after.outs}
    run_record.log_datasets(client, run_id, after.outs, contexts, run.code)
    for item in after.outs:
        if item.kind == "model":
            record_model(client, run.spool, run_id, item)
    whole = run_record.document(run.workspace, observed, run.code)
    client.log_dict(run_id, {**whole, **({"changed": changed} if changed else {})}, RECORD)
