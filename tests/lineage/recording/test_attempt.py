"""What becomes of the run of a stage that is stopped, killed, or left by its DVC."""

import os
import signal

import pytest

from tests.lineage.conftest import Project, until, with_stage

pytestmark = pytest.mark.slow


def test_ctrl_c_is_a_killed_run(project: Project) -> None:
    with_stage(project, " wait")
    dvc = project.start("dvc", "repro")
    until((project.root / "started").exists)
    os.killpg(dvc.pid, signal.SIGINT)
    dvc.wait(timeout=60)
    (run,) = project.runs("make")
    assert run.info.status == "KILLED"


def test_a_stage_ends_with_its_dvc(project: Project) -> None:
    with_stage(project, " wait")
    dvc = project.start("dvc", "repro")
    until((project.root / "started").exists)
    dvc.kill()
    dvc.wait(timeout=60)
    until(lambda: project.runs("make")[0].info.status == "KILLED")


def test_what_a_killed_attempt_left_running_is_closed_by_the_next(project: Project) -> None:
    with_stage(project, " wait")
    dvc = project.start("dvc", "repro")
    until((project.root / "started").exists)
    os.killpg(dvc.pid, signal.SIGKILL)
    dvc.wait(timeout=60)
    assert [run.info.status for run in project.runs("make")] == ["RUNNING"]

    with_stage(project)
    said = project.run("dvc", "repro").stderr
    assert "marked KILLED" in said
    assert [run.info.status for run in project.runs("make")] == ["KILLED", "FINISHED"]


def test_a_killed_temporary_experiment_is_closed_by_the_next(project: Project) -> None:
    with_stage(project, " wait")
    dvc = project.start("dvc", "exp", "run", "--temp")
    until(lambda: list(project.root.glob(".dvc/tmp/exps/standalone/*/started")))
    os.killpg(dvc.pid, signal.SIGKILL)
    dvc.wait(timeout=60)
    assert [run.info.status for run in project.runs("make")] == ["RUNNING"]
    with_stage(project)
    project.run("dvc", "exp", "run", "--temp", "--force")
    assert [run.info.status for run in project.runs("make")] == ["KILLED", "FINISHED"]


INTERRUPTED = """
import os, signal, sys
from mlflow import MlflowClient
import lineage

create = MlflowClient.create_run
def interrupted(self, *args, **more):
    run = create(self, *args, **more)
    os.kill(os.getpid(), signal.{signal})
    return run
MlflowClient.create_run = interrupted
with lineage.stage() as run:
    run.out("out").write_text("made")
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_who_is_interrupted_while_the_run_is_made_leaves_it_killed(
    number: str, project: Project
) -> None:
    with_stage(project)
    project.write("stage.py", INTERRUPTED.format(signal=number))
    project.run("dvc", "repro", ok=False)
    experiments = [each.experiment_id for each in project.client.search_experiments()]
    (run,) = project.client.search_runs(experiments)
    assert (run.info.status, run.data.tags["dvc.stage"]) == ("KILLED", "make")
    assert not (project.root / "out.txt").exists()
