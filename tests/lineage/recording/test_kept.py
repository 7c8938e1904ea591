"""A stage that goes on where an earlier attempt at the same work was stopped."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow import MlflowClient

from lineage.identity import Execution, StageId
from lineage.recording.kept import Kept, kept, leftovers
from lineage.repository.workspace import Workspace
from tests.lineage.conftest import Project, until, with_stage

COUNTS = """
import os, time
from pathlib import Path
import lineage

with lineage.stage(goes_on=True) as run:
    done = run.kept / "done"
    start = int(done.read_text()) if done.exists() else 0
    for step in range(start + 1, 7):
        run.client.log_metric(run.run_id, "step", step, step=step)
        done.write_text(str(step))
        if os.environ.get("STOPS") == str(step):
            Path(os.environ["STARTED"]).touch()
            time.sleep(60)
    run.out("out").write_text("counted")
"""


@pytest.fixture
def counting(project: Project) -> Project:
    """A project whose stage counts to six, and leaves how far it came."""
    project.write("stage.py", COUNTS)
    return with_stage(project)


def stopped(project: Project, after: int, number: int, *command: str) -> None:
    """Run a command, and stop it when its stage has counted so far."""
    started = project.root / "started"
    started.unlink(missing_ok=True)
    dvc = project.start("dvc", *command, STOPS=str(after), STARTED=str(started))
    until(started.exists)
    os.killpg(dvc.pid, number)
    dvc.wait(timeout=60)


def steps(client: MlflowClient, run_id: str) -> list[int]:
    return [int(each.value) for each in client.get_metric_history(run_id, "step")]


@pytest.mark.slow
def test_whatever_stopped_it_it_goes_on_in_the_same_run(counting: Project) -> None:
    stopped(counting, 2, signal.SIGKILL, "repro")
    (first,) = counting.runs("make")
    stopped(counting, 5, signal.SIGINT, "repro")
    (run,) = counting.runs("make")
    assert (run.info.status, "error" in run.data.tags) == ("KILLED", True)
    said = counting.run("dvc", "repro").stderr
    assert f"goes on in run {first.info.run_id}, whose attempt was stopped" in said
    (run,) = counting.runs("make")
    assert (run.info.status, "error" in run.data.tags) == ("FINISHED", False)
    assert steps(counting.client, run.info.run_id) == [1, 2, 3, 4, 5, 6]
    assert counting.run("lineage", "attempts").stdout.startswith("No attempt was stopped")
    counting.run("lineage", "verify")


@pytest.mark.slow
def test_other_work_starts_over_and_the_same_goes_on(counting: Project) -> None:
    stopped(counting, 2, signal.SIGKILL, "repro")
    counting.write("stage.py", f"{COUNTS}\n# changed\n")
    said = counting.run("dvc", "repro").stderr
    killed, other = counting.runs("make")
    assert f"run {killed.info.run_id} of an earlier attempt was left open; marked KILLED" in said
    assert steps(counting.client, other.info.run_id) == [1, 2, 3, 4, 5, 6]
    counting.write("stage.py", COUNTS)
    counting.run("dvc", "repro")
    assert [run.info.status for run in counting.runs("make")] == ["FINISHED"] * 2
    assert steps(counting.client, killed.info.run_id) == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_experiments_at_the_same_time_have_one_each(counting: Project) -> None:
    stopped(counting, 2, signal.SIGKILL, "exp", "run", "--temp")
    started = counting.root / "started"
    started.unlink()
    dvc = counting.start("dvc", "repro", STOPS="4", STARTED=str(started))
    until(started.exists)
    counting.run("dvc", "exp", "run", "--temp")
    os.killpg(dvc.pid, signal.SIGKILL)
    dvc.wait(timeout=60)
    first, other = counting.runs("make")
    assert steps(counting.client, first.info.run_id) == [1, 2, 3, 4]
    assert steps(counting.client, other.info.run_id) == [1, 2, 3, 4, 5, 6]
    assert "stopped" in counting.run("lineage", "attempts", "make").stdout
    assert "removed" in counting.run("lineage", "attempts", "--remove").stdout
    assert "No attempt" in counting.run("lineage", "attempts").stdout


# On values.


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `kept` is of: a project and what its stage is given."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    execution = Execution(StageId("dvc.yaml", "make"), "a signature", {}, {})
    return (
        SimpleNamespace(workspace=Workspace(tmp_path, tmp_path, tmp_path)),
        SimpleNamespace(execution=execution),
    )


class StoppedError(Exception):
    """What ends an attempt here."""


def left(work: Any, *, file: bool = True) -> Kept:
    """What an attempt left."""
    with pytest.raises(StoppedError), kept(*work) as folder:
        folder.begin("a run")
        if file:
            (folder.path / "some").touch()
        raise StoppedError
    return folder


def client(status: str = "KILLED", stage: str = "active") -> Any:
    run = SimpleNamespace(
        info=SimpleNamespace(run_id="a run", status=status, lifecycle_stage=stage)
    )
    return SimpleNamespace(get_run=lambda run_id: run)


def spool(*, is_away: bool = False) -> Any:
    """Of a store that answers, or not, and has the names of runs that they were begun with."""
    return SimpleNamespace(called=lambda name: name, sender=SimpleNamespace(is_away=is_away))


@pytest.mark.parametrize(
    ("status", "stage", "goes_on"),
    [
        ("KILLED", "active", True),
        ("FAILED", "active", True),
        ("RUNNING", "active", True),
        ("FINISHED", "active", False),
        ("KILLED", "deleted", False),
    ],
)
def test_which_runs_are_gone_on_with(work: Any, status: str, stage: str, goes_on: bool) -> None:
    left(work)
    with kept(*work) as folder:
        found = folder.run_to_go_on_with(client(status, stage), spool())
    assert found == ("a run" if goes_on else None)


def test_where_nobody_can_ask_for_the_run_it_is_gone_on_with(work: Any) -> None:
    left(work)
    with kept(*work) as folder:
        assert folder.run_to_go_on_with(None, spool(is_away=True)) == "a run"


def test_in_another_store_it_has_another_run(work: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left(work)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    with kept(*work) as folder:
        assert (folder.path / "some").exists()
        assert folder.run_to_go_on_with(client(), spool()) is None


@pytest.mark.parametrize("note", [None, "", '{"run_id": "a r', "[]"])
def test_a_damaged_note_costs_the_run_and_no_work(work: Any, note: str | None) -> None:
    path = left(work).path.with_suffix(".json")
    if note is None:
        path.unlink()
    else:
        path.write_text(note)
    assert [each.stage for each in leftovers(work[0].workspace)] == [""]
    with kept(*work) as folder:
        assert (folder.path / "some").exists()
        assert folder.run_to_go_on_with(client(), spool()) is None


def test_who_leaves_nothing_leaves_nothing(work: Any, tmp_path: Path) -> None:
    left(work, file=False)
    assert leftovers(work[0].workspace) == []
    with kept(*work) as folder:
        (folder.path / "some").touch()
    assert [path.name for path in (tmp_path / ".dvc/tmp/lineage/kept").rglob("*")] == [".lock"]


def test_what_is_there_is_taken_before_what_is_new(work: Any) -> None:
    with pytest.raises(StoppedError), kept(*work) as first, kept(*work) as second:
        assert first.path != second.path
        (second.path / "some").touch()
        raise StoppedError
    with kept(*work) as folder:
        assert folder.path == second.path
        assert [each.is_held() for each in leftovers(work[0].workspace)] == [True]
        assert not leftovers(work[0].workspace)[0].remove()
        assert (folder.path / "some").exists()
