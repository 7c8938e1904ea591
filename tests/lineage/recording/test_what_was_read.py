"""A run is of what the stage read, and not of what lay there later."""

import json
from pathlib import Path

import pytest
from mlflow.entities import Run

from lineage.project import Project as Asked
from lineage.tracking.producer import Status
from lineage.verbs.sync import sync
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Break, Check
from tests.lineage.conftest import SHORT_LIVED, Project, hashes, tag

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  make:
    cmd: {command}
    deps: [raw.txt]
    outs: [out.txt]
"""
SCRIPT = (
    SHORT_LIVED
    + """
from pathlib import Path
import lineage
{before}
with lineage.stage() as run:
    run.out("out").write_text("made")
    {inside}
{after}
"""
)
EDIT = 'Path("raw.txt").write_text("edited")'
SLOW = f"""
from lineage.tracking import connection
connect = connection.connect
def slowly(workspace):
    {EDIT}
    return connect(workspace)
connection.connect = slowly
"""


def run(project: Project, command: str = "python work.py", **script: str) -> str:
    """Let the stage run this script; returns what it said."""
    project.write("dvc.yaml", PIPELINE.format(command=json.dumps(command)))
    project.write("work.py", SCRIPT.format(**{"before": "", "inside": "", "after": "", **script}))
    if not (project.root / "raw.txt").exists():
        project.write("raw.txt", "raw")
    return project.run("dvc", "repro", "--force").stderr


def the_run(project: Project) -> Run:
    (found,) = project.runs("make")
    return found


def breaks(project: Project, monkeypatch: pytest.MonkeyPatch) -> list[Break]:
    monkeypatch.chdir(project.root)
    return [each for each in verify(Asked.find()).breaks if each.subject == "make"]


def check_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """It is called changed, no run is invented for it; returns the sentence."""
    for _ in range(2):
        (found,) = breaks(project, monkeypatch)
        assert found.check is Check.CHANGED
        assert "raw.txt" in found.sentence
        assert sync(Asked.find()).runs == ()
    return found.sentence


def test_an_edit_while_the_script_imports(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(project, before=EDIT)
    assert "raw.txt changed after the command of stage make had begun" in said
    assert list(tag(the_run(project), "dvc.changed")) == ["raw.txt"]
    check_is_told(project, monkeypatch)


def test_an_edit_while_a_slow_server_is_connected_to(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = run(project, before=SLOW)
    assert "raw.txt changed while stage make ran" in said
    ((before, after),) = tag(the_run(project), "dvc.changed").values()
    assert tag(the_run(project), "dvc.deps") == {"raw.txt": before}
    assert hashes(project.lock()["make"]["deps"]) == {"raw.txt": after}
    check_is_told(project, monkeypatch)


@pytest.mark.parametrize("where", ["script", "command"])
def test_an_edit_after_the_block(
    where: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "script":
        run(project, after=EDIT)
    else:
        run(project, "python work.py && printf edited > raw.txt")
    sentence = check_is_told(project, monkeypatch)
    assert the_run(project).info.run_id in sentence
    project.commit("with that lock")
    check_is_told(project, monkeypatch)


def test_an_edit_after_the_block_of_a_forced_rerun(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, "python work.py; test ! -e edit || printf edited > raw.txt")
    project.commit("as it should be")
    project.write("edit", "")
    project.run("dvc", "repro", "--force", "--quiet")
    assert len(project.runs("make")) == 2
    check_is_told(project, monkeypatch)


def test_other_code_that_made_the_same_bytes_elsewhere_is_unrecorded(
    project: Project, monkeypatch: pytest.MonkeyPatch, empty_store: Path, tmp_path: Path
) -> None:
    run(project)
    project.commit("first")
    (tmp_path / "other.db").write_bytes(empty_store.read_bytes())
    project.write("raw.txt", "refactored")
    project.run("dvc", "repro", MLFLOW_TRACKING_URI=f"sqlite:///{tmp_path / 'other.db'}")
    project.commit("second")
    (found,) = breaks(project, monkeypatch)
    assert found.check.value == Status.UNRECORDED.value
    assert sync(Asked.find()).runs == ("make",)
    assert breaks(project, monkeypatch) == []


def test_a_later_command_that_writes_to_an_output_is_told_as_such(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, "python work.py && printf more >> out.txt")
    (found,) = breaks(project, monkeypatch)
    assert found.check is Check.ACCEPTED
    assert "its command went on after the block" in found.sentence
    assert "dvc commit" not in found.sentence
    assert sync(Asked.find()).runs == ()


OWN_RUNS: dict[str, tuple[str, str]] = {
    "ended as failed": ("import mlflow; mlflow.end_run('FAILED')", "FINISHED"),
    "another after it": (
        "import mlflow; mlflow.end_run(); mlflow.start_run(run_name='own')",
        "FINISHED",
    ),
    "one inside of it": (
        "import mlflow; mlflow.start_run(run_name='own', nested=True)",
        "FINISHED",
    ),
    "another, and an error": (
        "import mlflow; mlflow.end_run(); mlflow.start_run(run_name='own'); 1 / 0",
        "FAILED",
    ),
    "another store": ("import mlflow; mlflow.set_tracking_uri('sqlite:///own.db')", "FINISHED"),
}


@pytest.mark.parametrize(("inside", "status"), OWN_RUNS.values(), ids=OWN_RUNS)
def test_what_the_body_does_to_mlflow_does_not_split_the_record(
    inside: str, status: str, project: Project
) -> None:
    project.write("dvc.yaml", PIPELINE.format(command="python work.py"))
    project.write("work.py", SCRIPT.format(before="", inside=inside, after=""))
    project.write("raw.txt", "raw")
    project.run("dvc", "repro", ok=False)
    made = the_run(project)
    assert made.info.status == status
    artifacts = {each.path for each in project.client.list_artifacts(made.info.run_id)}
    if status == "FINISHED":
        assert tag(made, "dvc.outs") == hashes(project.lock()["make"]["outs"])
        assert "lineage.json" in artifacts
    else:
        assert made.data.tags["error"] == "division by zero"
    own = project.client.search_runs([made.info.experiment_id, "0"], "attributes.run_name = 'own'")
    assert all(not name.startswith("dvc.") for each in own for name in each.data.tags)
    assert all("error" not in each.data.tags for each in own)
