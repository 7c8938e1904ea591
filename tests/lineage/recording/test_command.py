"""`lineage run`: any command, recorded from outside, against the lock and MLflow's client."""

import json
import os
import re
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from mlflow.entities import Run

from lineage.project import Project as Asked
from lineage.verbs.sync import sync
from lineage.verbs.verify import verify
from tests.conftest import served_by_mlflow
from tests.lineage.conftest import SHORT_LIVED, Project, hashes, tag, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def stage(project: Project, command: str | list[str], **more: object) -> None:
    """Give the project a stage ``make`` that reads raw.txt and writes out.txt."""
    outs = more.pop("outs", ["out.txt"])
    make = {"cmd": command, "deps": ["raw.txt"], "outs": outs, **more}
    project.write("dvc.yaml", json.dumps({"stages": {"make": make}}))
    if not (project.root / "raw.txt").exists():
        project.write("raw.txt", "one\ntwo\n")


def as_dvc(*words: str) -> tuple[str, ...]:
    """A command as DVC would start it, in the folder of its pipeline."""
    return "sh", "-c", 'DVC_STAGE=make "$@"; exit $?', "sh", *words


def recorder(dvc: psutil.Process) -> psutil.Process:
    """The `lineage run` that a process has started, whose command runs."""
    (found,) = (each for each in dvc.children(recursive=True) if "lineage" in each.name())
    return found


def the_run(project: Project, name: str = "make") -> Run:
    (found,) = project.runs(name)
    return found


def check_recorded(project: Project, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Each stage has one finished run with the very hashes of its lock, and nothing is amiss."""
    for name in names or ("make",):
        run, entry = the_run(project, name), project.lock()[name]
        assert run.info.status == "FINISHED"
        assert tag(run, "dvc.deps") == hashes(entry["deps"])
        assert tag(run, "dvc.outs") == hashes(entry["outs"])
        assert "dvc.changed" not in run.data.tags
    monkeypatch.chdir(project.root)
    assert verify(Asked.find()).breaks == ()
    assert sync(Asked.find()).runs == ()


def test_a_shell_stage_with_metrics_and_plots(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "cp ../raw.txt out.txt; mkdir plots;"
        ' echo \'{"AP": 0.5, "by": {"cat": 1, "name": "x"}}\' > scores.json;'
        " printf 'step,loss\\n1,2\\n' > loss.csv; printf 'a\\n1\\n' > plots/curve.csv"
    )
    pipeline = {
        "stages": {
            "make": {
                "cmd": f"lineage run --context raw=training -- sh -c {json.dumps(script)}",
                "wdir": "work",
                "deps": ["../raw.txt"],
                "outs": ["out.txt", "plots"],
                "metrics": ["scores.json"],
                "plots": ["loss.csv"],
            }
        },
        "plots": [{"work/plots/curve.csv": {"x": "a"}}],
    }
    (project.root / "work").mkdir()
    project.write("dvc.yaml", json.dumps(pipeline).replace("$", ""))
    project.write("raw.txt", "one\n")
    project.run("dvc", "add", "--quiet", "raw.txt")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    run, entry = the_run(project), project.lock()["make"]
    outs = hashes(entry["outs"])
    assert tag(run, "dvc.outs") == {f"work/{path}": outs[path] for path in outs}
    assert run.data.metrics == {"AP": 0.5, "by.cat": 1}
    (read,) = (each for each in run.inputs.dataset_inputs if each.dataset.name == "raw.txt")
    assert [each.value for each in read.tags if each.key == "mlflow.data.context"] == ["training"]
    found = {
        each.path
        for folder in ("plots/work", "plots/work/plots")
        for each in project.client.list_artifacts(run.info.run_id, folder)
    }
    assert {"plots/work/loss.csv", "plots/work/plots/curve.csv"} <= found
    monkeypatch.chdir(project.root)
    assert verify(Asked.find()).breaks == ()


RSCRIPT = """#!/bin/sh
mkdir -p models && cp data/train.csv models/prices
echo '{"r2": 0.5}' > scores.json
printf 'step,loss\\n1,2\\n' > loss.csv
"""


def test_the_stage_of_the_guide(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (ROOT / "docs/lineage.md").read_text(encoding="utf-8")
    (pipeline,) = re.findall(r"### Any command\n.*?```yaml\n(.*?)```", guide, re.DOTALL)
    project.write("dvc.yaml", pipeline)
    project.write("train.R", "# R is not here; what stands for it does as it would")
    project.write("bin/Rscript", RSCRIPT)
    (project.root / "bin/Rscript").chmod(0o755)
    project.environment["PATH"] = f"{project.root}/bin:{project.environment['PATH']}"
    project.write("data/train.csv", "a,b\n1,2\n")
    project.run("dvc", "add", "--quiet", "data/train.csv")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    check_recorded(project, monkeypatch, "train")
    assert the_run(project, "train").data.metrics == {"r2": 0.5}


def test_awk(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("count.awk", 'END { print NR > "out.txt" }')
    stage(project, "lineage run -- awk -f count.awk raw.txt")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    assert (project.root / "out.txt").read_text() == "2\n"
    check_recorded(project, monkeypatch)


COMMANDS = ["lineage run -- cp raw.txt out.txt", "lineage run -- sh -c 'echo more >> out.txt'"]


@pytest.mark.parametrize("command", [COMMANDS, " && ".join(COMMANDS)], ids=["list", "shell"])
def test_several_commands_are_one_run(
    command: str | list[str], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(project, command)
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    check_recorded(project, monkeypatch)


def test_an_edit_between_two_commands_is_told(project: Project) -> None:
    stage(project, [COMMANDS[0], "sh -c 'echo edited >> raw.txt'", COMMANDS[1]])
    said = project.run("dvc", "repro").stderr
    assert "raw.txt changed while stage make ran" in said
    assert list(tag(the_run(project), "dvc.changed")) == ["raw.txt"]


def test_a_second_command_that_fails_fails_the_run(project: Project) -> None:
    stage(project, [COMMANDS[0], "lineage run -- false"])
    project.run("dvc", "repro", ok=False)
    assert the_run(project).info.status == "FAILED"
    stage(project, COMMANDS)
    project.run("dvc", "repro", "--quiet")
    project.run("dvc", "repro", "--quiet", "--force")
    assert [run.info.status for run in project.runs("make")] == ["FAILED", "FINISHED", "FINISHED"]


def test_a_command_that_nobody_records_is_refused(project: Project) -> None:
    stage(project, [COMMANDS[0], "echo later >> out.txt"])
    done = project.run("dvc", "repro", ok=False)
    assert "'echo later >> out.txt' of stage make comes after" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.root / "out.txt").exists()
    assert project.runs("make") == []


def test_a_list_of_stages(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    do = {
        "cmd": "lineage run -- cp raw.txt ${item}.txt",
        "deps": ["raw.txt"],
        "outs": ["${item}.txt"],
    }
    pipeline = {"stages": {"make": {"foreach": ["a", "b"], "do": do}}}
    project.write("dvc.yaml", json.dumps(pipeline))
    project.write("raw.txt", "raw")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    check_recorded(project, monkeypatch, "make@a", "make@b")


INSIDE = (
    SHORT_LIVED
    + """
import sys
import lineage, mlflow
with lineage.stage({"raw": "training"}) as run:
    mlflow.log_metric("seen", len(run.dep("raw").location.read_text()))
    run.out("out").write_text("made")
    if "fail" in sys.argv:
        raise lineage.LineageError("the sky fell: look up.")
mlflow.log_metric("after", 1)
run.out("out").write_text("made, and more")
"""
)


def test_a_block_inside_joins_the_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("work.py", INSIDE)
    stage(project, "lineage run -- python work.py")
    project.run("dvc", "add", "--quiet", "--force", "raw.txt")
    project.commit("a stage")
    said = project.run("dvc", "repro").stderr
    assert "raw.txt has the context input in MLflow, not training" in said
    check_recorded(project, monkeypatch)
    assert the_run(project).data.metrics == {"seen": 8, "after": 1}


def test_a_failure_inside_is_the_sentence_of_the_run(project: Project) -> None:
    project.write("work.py", INSIDE)
    stage(project, "lineage run -- python work.py fail")
    done = project.run("dvc", "repro", ok=False)
    assert "the sky fell" in done.stderr
    run = the_run(project)
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "the sky fell: look up.")


@pytest.mark.parametrize(
    ("command", "code"), [("exit 3", 3), ("kill -9 $$", 137)], ids=["failed", "killed"]
)
def test_the_exit_code_is_the_commands(command: str, code: int, project: Project) -> None:
    stage(project, f"lineage run -- sh -c '{command}'")
    done = project.run(*as_dvc("lineage", "run", "--", "sh", "-c", command), ok=False)
    assert done.returncode == code
    run = the_run(project)
    assert run.info.status == "FAILED"
    assert run.data.tags["error"].endswith(f"ended with exit code {code}.")


SIGNALLED = """
import os, signal, sys, time
from pathlib import Path
got = []
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: got.append(signal.Signals(number).name))
Path("started").write_text(str(os.getpid()))
while not got:
    time.sleep(0.05)
time.sleep(1)
Path("got").write_text(" ".join(got))
if "SIGUSR1" in got:
    Path("out.txt").write_text("made")
sys.exit(0 if "SIGUSR1" in got else 5)
"""


@pytest.mark.parametrize(
    ("number", "to"),
    [
        (signal.SIGTERM, "one"),
        (signal.SIGTERM, "group"),
        (signal.SIGINT, "group"),
        (signal.SIGUSR1, "one"),
    ],
    ids=["term", "term to all", "int to all", "usr1"],
)
def test_a_signal_reaches_the_command_once(
    number: signal.Signals, to: str, project: Project
) -> None:
    project.write("wait.py", SIGNALLED)
    stage(project, "lineage run -- python wait.py")
    dvc = project.start("dvc", "repro")
    until((project.root / "started").exists)
    if to == "one":
        recorder(psutil.Process(dvc.pid)).send_signal(number)
    else:
        os.killpg(dvc.pid, number)
    dvc.wait(timeout=60)
    until((project.root / "got").exists)
    assert (project.root / "got").read_text() == number.name
    until(lambda: the_run(project).info.status != "RUNNING")
    run = the_run(project)
    if number is signal.SIGUSR1:
        assert (run.info.status, dvc.returncode) == ("FINISHED", 0)
    else:
        assert run.info.status == "KILLED"
        assert run.data.tags["error"] == "`python wait.py` was stopped, with exit code 5"


def test_the_command_ends_with_its_dvc(project: Project) -> None:
    stage(project, "lineage run -- sh -c 'echo $$ > started; exec sleep 60'")
    dvc = project.start("dvc", "repro")
    until(lambda: (project.root / "started").exists() and (project.root / "started").read_text())
    command = psutil.Process(int((project.root / "started").read_text()))
    dvc.kill()
    dvc.wait(timeout=60)
    until(lambda: not command.is_running())
    until(lambda: the_run(project).info.status == "KILLED")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a killed process's child")
def test_the_command_of_a_killed_lineage_ends_too(project: Project) -> None:
    stage(project, "lineage run -- sh -c 'echo > started; exec sleep 61'")
    dvc = project.start("dvc", "repro")
    until((project.root / "started").exists)
    lineage = recorder(psutil.Process(dvc.pid))
    (command,) = lineage.children()
    lineage.kill()
    dvc.wait(timeout=60)
    until(lambda: not command.is_running())


@pytest.fixture
def silent() -> int:
    """A port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_without_a_server_the_command_is_not_started(project: Project, silent: int) -> None:
    stage(project, "lineage run -- cp raw.txt out.txt")
    uri = f"http://127.0.0.1:{silent}"
    done = project.run("dvc", "repro", ok=False, MLFLOW_TRACKING_URI=uri)
    assert f"lineage: no MLflow tracking store answers at {uri}" in done.stderr
    assert not (project.root / "out.txt").exists()


def test_a_server_that_is_gone_at_the_end_costs_nothing(
    project: Project, empty_store: Path, tmp_path: Path
) -> None:
    with served_by_mlflow(tmp_path, empty_store) as uri:
        port = uri.rpartition(":")[2]
        group = next(
            os.getpgid(each.pid) for each in psutil.Process().children() if port in each.cmdline()
        )
        stage(project, f"lineage run -- sh -c 'kill -9 -{group}; cp raw.txt out.txt'")
        done = project.run("dvc", "repro", MLFLOW_TRACKING_URI=uri)
    assert "Traceback" not in done.stderr
    assert re.search(
        r"^\d+ records of make wait in .*: `lineage sync` sends them", done.stderr, re.M
    )
    # Another store knows nothing of them, and has what the lock says.
    project.run("lineage", "sync")
    assert the_run(project).data.tags["lineage.backfilled"] == "true"


WORDS = {
    "no command": (["run"], "say what to run after `--`"),
    "no dashes": (["run", "cp", "a", "b"], "say what to run after `--`"),
    "no such program": (["run", "--", "no-such-program"], "no program no-such-program is here"),
    "no such name": (
        ["run", "--context", "val=evaluation", "--", "true"],
        "--context names val, which stage make of dvc.yaml does not read; its data are none",
    ),
    "no context": (["run", "--context", "val", "--", "true"], "write NAME=CONTEXT"),
}


@pytest.mark.parametrize(("words", "sentence"), WORDS.values(), ids=WORDS)
def test_what_is_refused(words: list[str], sentence: str, project: Project) -> None:
    stage(project, "lineage run -- true")
    done = project.run(*as_dvc("lineage", *words), ok=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_started_by_hand_it_says_so(project: Project) -> None:
    stage(project, "lineage run -- true")
    done = project.run("lineage", "run", "--", "true", ok=False)
    assert "was started by hand" in done.stderr


def test_dashes_of_the_command_are_its_own(project: Project) -> None:
    stage(project, "lineage run -- sh -c 'printf %s \"$*\" > out.txt' -- --json -- x")
    project.run("dvc", "repro", "--quiet")
    assert (project.root / "out.txt").read_text() == "--json -- x"
