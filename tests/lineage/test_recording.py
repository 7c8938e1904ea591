"""What a stage's run says when things go wrong, and when they do not."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace
from lineage.tracking import connection
from tests.lineage.conftest import Project

pytestmark = pytest.mark.slow

STAGE = """
stages:
  make:
    cmd: python stage.py text{extras}
    deps: [stage.py]
    outs: [out.txt]
"""


def with_stage(project: Project, extras: str = "") -> Project:
    project.write("dvc.yaml", STAGE.format(extras=extras))
    project.commit("a stage")
    return project


def until(found: object, seconds: float = 60) -> None:
    """Wait for a condition that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def test_a_failure_is_a_failed_run_with_its_sentence(project: Project) -> None:
    with_stage(project, " fail")
    done = project.run("dvc", "repro", ok=False)
    (run,) = project.runs("make")
    assert "stage: the sky fell: look up." in done.stderr
    assert "Traceback" not in done.stderr
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "the sky fell: look up."
    assert "dvc.outs" not in run.data.tags


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


def test_a_stage_started_by_hand_is_told_so(project: Project) -> None:
    done = with_stage(project).run("python", "stage.py", "text", ok=False)
    assert done.stderr.startswith("stage: this is the command of a DVC stage")
    assert done.stderr.count("\n") == 1
    assert not (project.root / "out.txt").exists()


def test_outside_of_git_or_dvc_is_told(project: Project, tmp_path: Path) -> None:
    script = str(project.root / "stage.py")
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    for prepare, missing in [((), "DVC"), (("dvc", "init", "--no-scm", "--quiet"), "git")]:
        if prepare:
            project.run(*prepare, cwd=str(nowhere))
        done = project.run("python", script, "text", cwd=str(nowhere), ok=False, DVC_STAGE="x")
        assert done.returncode == 1
        assert f"is not inside a {missing} repository" in done.stderr


def test_no_server_is_told_within_ten_seconds_and_before_any_work(project: Project) -> None:
    with_stage(project)
    started = time.monotonic()
    done = project.run("dvc", "repro", ok=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    took_s = time.monotonic() - started
    assert "no MLflow tracking store answers at http://127.0.0.1:9" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.root / "out.txt").exists()
    # With dvc's own start and the imports, on a busy machine.
    assert took_s < 25


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:s3cr3t@127.0.0.1:{port}",
        "http://me:s3cr3t@127.0.0.1:9",
        "foo://me:s3cr3t@127.0.0.1",
        "127.0.0.1:5000",
        "postgresql://me:s3cr3t@127.0.0.1:9/mlflow",
    ],
)
def test_a_wrong_address_is_one_sentence_without_its_secrets(
    project: Project, silent_port: int, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(port=silent_port))
    started = time.monotonic()
    with pytest.raises(LineageError) as error:
        connection.connect(Workspace.find(project.root))
    assert time.monotonic() - started < 10
    assert "s3cr3t" not in str(error.value)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("no MLflow tracking store answers at ")


def test_a_relative_store_belongs_to_the_repository(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    workspace = Workspace.find(project.root)
    assert connection.store_uri(workspace) == f"sqlite:///{project.root}/runs.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////srv/runs.db")
    assert connection.store_uri(workspace) == "sqlite:////srv/runs.db"


def test_a_broken_pipeline_file_is_a_sentence(project: Project) -> None:
    project.write("dvc.yaml", "stages: [")
    done = project.run("lineage", "sync", ok=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lineage: dvc.yaml cannot be read")
    assert "Traceback" not in done.stderr


def test_names_with_quotes_and_params_of_other_folders(project: Project) -> None:
    project.write("config.yaml", "lr: 1")
    project.write("it's/params.yaml", "lr: 2")
    project.write(
        "it's/dvc.yaml",
        "stages:\n  make:\n    cmd: python ../stage.py text\n    deps: [../stage.py]\n"
        "    params: [lr, {../config.yaml: [lr]}]\n    outs: [out.txt]\n",
    )
    project.commit("a folder with a quote")
    project.run("dvc", "repro", "it's/dvc.yaml")
    (run,) = project.runs("make", "it's/dvc.yaml")
    assert run.data.params == {"config.yaml:lr": "1", "it_s/params.yaml:lr": "2"}
    project.run("lineage", "sync")
    assert len(project.runs("make", "it's/dvc.yaml")) == 1


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


def test_what_a_stage_writes_is_no_dirt_where_git_keeps_it(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages:\n  make:\n    cmd: python stage.py text random\n    deps: [stage.py]\n"
        "    metrics: [m.json: {cache: false}]\n",
    )
    project.commit("a metric in git")
    project.run("dvc", "repro")
    project.commit("its value")
    project.run("dvc", "repro", "--force")
    assert [run.data.tags["git.dirty"] for run in project.runs("make")] == ["false", "false"]


def test_two_stages_may_meet_a_store_that_is_not_there_yet(project: Project) -> None:
    (project.root / "mlflow.db").unlink()
    project.write(
        "dvc.yaml",
        "stages:\n  make:\n    foreach: [a, b]\n    do:\n"
        "      cmd: python stage.py ${item}\n      deps: [stage.py]\n"
        '      outs: ["${item}.txt"]\n',
    )
    project.commit("two stages")
    both = [project.start("dvc", "repro", f"make@{item}") for item in "ab"]
    for process in both:
        process.wait(timeout=200)
    # DVC allows one of them at a time at its own lock; neither breaks the store.
    project.run("dvc", "repro")
    assert [project.runs(f"make@{item}")[-1].info.status for item in "ab"] == ["FINISHED"] * 2


@pytest.mark.parametrize(
    ("path", "text", "dirty"),
    [
        ("params.yaml", "tracking: {experiment: other}\nmachine: {workers: 9}\n", "false"),
        ("params.yaml", "tracking: {experiment: bridge}\ntrain: {lr: 1}\n", "true"),
        ("notes.txt", "to do", "false"),
        ("code/new.py", "print()", "true"),
        ("code/old.py", "print(1)", "true"),
    ],
    ids=["machine and tracking", "a param", "an untracked note", "untracked code", "edited code"],
)
def test_dirty_means_code_that_no_commit_has(
    project: Project, path: str, text: str, dirty: str
) -> None:
    from lineage.repository.code import CodeState
    from lineage.repository.workspace import Workspace

    project.write("code/old.py", "print(0)")
    with_stage(project)
    project.write("dvc.lock", "schema: '2.0'\n")
    project.write(path, text)
    workspace = Workspace.find(project.root)
    assert CodeState.of(workspace, ["stage.py", "code"]).tags()["git.dirty"] == dirty
