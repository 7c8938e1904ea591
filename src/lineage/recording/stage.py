"""The block in which a stage's script does its work."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lineage.errors import in_a_sentence, tell_uncaught
from lineage.project import Project
from lineage.recording.command import handed_on, joined
from lineage.recording.recorded import begin, recorded
from lineage.recording.stage_run import StageRun
from lineage.repository.stage_reader import running_stage


@contextmanager
def stage(
    contexts: Mapping[str, str] | None = None, *, goes_on: bool = False
) -> Iterator[StageRun]:
    """Run the body as the work of the DVC stage that started this process.

    Opens the MLflow run and records what determines the result; when the body succeeds,
    records what it wrote. When it fails, the run is FAILED with the error's sentence, or
    KILLED when it was interrupted. Never changes what the stage computes. A `LineageError`
    that the script does not catch is printed without a traceback.

    Where `lineage run` started the script, its run is the one, and it writes down what comes out.

    Args:
        contexts: Name of a data dependency -> MLflow's context for it, such as
            ``training``.
        goes_on: Whether the script goes on, from what it left in `StageRun.kept`, where an
            earlier attempt at the same work was stopped; in that one's run, where the tracking
            store has it.

    Raises:
        LineageError: Before any work, if this is not a DVC stage, if another process runs
            it here, or if the tracking store does not answer.
    """
    tell_uncaught()
    project = Project.find()
    with in_a_sentence(), running_stage(project.workspace) as reader:
        run_id = handed_on(project, reader)
        if run_id:
            block = joined(project, reader, run_id, contexts or {}, goes_on=goes_on)
        else:
            begun = begin(project, reader)
            block = recorded(project, reader, begun, contexts or {}, goes_on=goes_on)
        with block as run:
            yield run
