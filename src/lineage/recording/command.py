"""``lineage run``: a command of any kind, recorded from outside."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from lineage.errors import LineageError
from lineage.project import Project
from lineage.recording.attempt import Interrupted
from lineage.recording.child import run_child
from lineage.recording.fluent import active
from lineage.recording.kept import kept
from lineage.recording.recorded import begin, log, recorded, tell
from lineage.recording.spooling import ids_of_models, spooled
from lineage.recording.stage_run import StageRun
from lineage.repository.code import CodeState
from lineage.repository.items import Observed
from lineage.repository.stage_reader import StageReader, running_stage
from lineage.spool.spool import Spool, unseen
from lineage.tracking.connection import store_uri
from lineage.tracking.dataset_inputs import datasets_of, path_of

HANDED_ON = "LINEAGE_RUN"
"""Variable with the run that the command is recorded in, for a `lineage.stage` inside of it."""

OWN = re.compile(r"\blineage\s+run\b")
"""How a command begins that is recorded."""


class CommandFailedError(LineageError):
    """A command that ended with another exit code than 0.

    Attributes:
        code: It.
    """

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"the command `{shlex.join(command)}` ended with exit code {code}.")
        self.code = code


class CommandStopped(Interrupted):
    """A command that was told to stop, and did.

    Attributes:
        code: Its exit code.
    """

    def __init__(self, command: Sequence[str], code: int) -> None:
        super().__init__(f"`{shlex.join(command)}` was stopped, with exit code {code}")
        self.code = code


def run_command(command: Sequence[str], contexts: Mapping[str, str]) -> int:
    """Run a command as the work of the DVC stage that started this process, and record it.

    What the stage reads is hashed before the command starts, and what it wrote when the command
    has ended. The metrics and plots that ``dvc.yaml`` declares go to MLflow.

    Args:
        command: The program and its arguments.
        contexts: Name of a data dependency -> MLflow's context for it.

    Returns:
        The command's exit code, as shells give it.

    Raises:
        LineageError: Before any work, as `lineage.stage` does; if the command cannot be started,
            or did not write an output.
    """
    if shutil.which(command[0]) is None:
        raise LineageError(
            f"no program {command[0]} is here: correct the command after `lineage run --`; what"
            " only a shell knows is run by one, as in `lineage run -- sh -c '…'`."
        )
    project = Project.find()
    try:
        with running_stage(project.workspace) as reader:
            begun = begin(project, reader)
            _check_contexts(begun.observed, contexts)
            commands = _count(reader)
            with recorded(
                project, reader, begun, contexts, commands=commands, with_measures=True
            ) as run:
                _do(command, run)
    except (CommandFailedError, CommandStopped) as error:
        return error.code
    return 0


def _check_contexts(observed: Observed, contexts: Mapping[str, str]) -> None:
    names = [item.name for item in observed.deps if item.kind != "code"]
    unknown = sorted(contexts.keys() - set(names))
    if unknown:
        stage = observed.execution.stage
        raise LineageError(
            f"--context names {', '.join(unknown)}, which stage {stage} of {stage.pipeline} does"
            f" not read; its data are {', '.join(names) or 'none'}: a name is the last part of a"
            " path, without its suffix."
        )


def _count(reader: StageReader) -> int:
    """How many commands of the stage are recorded together.

    Raises:
        LineageError: If one that is not recorded comes after them.
    """
    commands = [reader.command] if isinstance(reader.command, str) else reader.command
    own = [len(OWN.findall(command)) for command in commands]
    if sum(own) and not own[-1]:
        last = max(place for place, number in enumerate(own) if number)
        raise LineageError(
            f"the command {commands[last + 1]!r} of stage {reader.id} comes after those that are"
            " recorded, so that nobody would see what it writes: put `lineage run --` before it"
            " too."
        )
    return max(sum(own), 1)


def _do(command: Sequence[str], run: StageRun) -> None:
    # The command may write to the run itself.
    run.spool.settle()
    about = [run.run_id, str(run.observed.execution.stage), str(run.workspace.root)]
    ended = run_child(
        command,
        {
            **os.environ,
            "MLFLOW_TRACKING_URI": store_uri(run.workspace),
            "MLFLOW_RUN_ID": run.run_id,
            HANDED_ON: json.dumps(about),
        },
    )
    run.spool.look_again(run.run_id)
    if ended.code:
        raise (CommandStopped if ended.was_stopped else CommandFailedError)(command, ended.code)


def handed_on(project: Project, reader: StageReader) -> str | None:
    """The run that `lineage run` opened for the stage around this process; None without it."""
    about = json.loads(os.environ.get(HANDED_ON, "[]"))
    match about:
        case [str() as run_id, stage, root]:
            is_this = (stage, root) == (str(reader.id), str(project.workspace.root))
            return run_id if is_this else None
    return None


@contextmanager
def joined(
    project: Project,
    reader: StageReader,
    run_id: str,
    contexts: Mapping[str, str],
    *,
    goes_on: bool = False,
) -> Iterator[StageRun]:
    """Do the block's work in a run that another process opened, and closes."""
    with spooled(project, str(reader.id)) as spool:
        spool.adopt(unseen(run_id) if spool.sender.is_away else project.client.get_run(run_id))
        with _joined(project, reader, run_id, contexts, spool, goes_on=goes_on) as run:
            yield run


@contextmanager
def _joined(
    project: Project,
    reader: StageReader,
    run_id: str,
    contexts: Mapping[str, str],
    spool: Spool,
    *,
    goes_on: bool,
) -> Iterator[StageRun]:
    client = project.client
    observed = reader.before()
    model_ids = ids_of_models(project, spool, observed.deps)
    code = CodeState.of(project.workspace, observed.execution.deps, reader.written())
    try:
        with kept(project, observed) if goes_on else nullcontext() as folder:
            run = StageRun(project, run_id, code, observed, reader.outs, model_ids, spool, folder)
            _tell_contexts(run, contexts)
            with active(run_id):
                yield run
    except BaseException as error:
        tell(client, run_id, error)
        raise


def _tell_contexts(run: StageRun, contexts: Mapping[str, str]) -> None:
    """Warn of contexts that another process would have had to log."""
    logged = {
        path_of(dataset, run.project.passed): context
        for dataset, context in datasets_of(run.client.get_run(run.run_id))
    }
    for item in run.observed.deps:
        wanted = contexts.get(item.name)
        if wanted and item.path in logged and logged[item.path] != wanted:
            log.warning(
                "%s has the context %s in MLflow, not %s: write `lineage run --context %s=%s -- …`",
                *(item.path, logged[item.path], wanted, item.name, wanted),
            )
