"""Asking makes no tracking store: where none is yet, git alone answers and says so."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.cli import main
from tests.lineage.conftest import Project


@pytest.fixture
def storeless(copied: Project) -> Project:
    """A project in which nothing has made a store yet."""
    (copied.root / "mlflow.db").unlink()
    return copied


@pytest.mark.parametrize(
    "words",
    [
        ["log"],
        ["trace", "weights.txt"],
        ["impact", "raw.txt"],
        ["show", "weights.txt"],
        ["show", "HEAD"],
        ["diff", "v1", "v2"],
        ["verify"],
        ["graph", "weights.txt"],
        ["report"],
        ["show", "models:/x/1"],
        ["show", "0" * 32],
        ["show", "models:/m-" + "0" * 32],
    ],
    ids=" ".join,
)
def test_asking_makes_no_store(
    storeless: Project, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
    made = {path.name for path in storeless.root.iterdir()}
    assert not made & {"mlflow.db", "mlartifacts", "mlruns"}


def test_git_answers_and_says_that_there_is_no_store(
    storeless: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trace", "weights.txt", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [node["status"] for node in answer["nodes"] if node["type"] == "execution"] == [
        "unrecorded"
    ] * 2
    (warning,) = answer["warnings"]
    assert "there is no tracking store at" in warning


def test_sync_makes_it(storeless: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync"]) == 0
    capsys.readouterr()
    assert main(["trace", "weights.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


PIPELINE = """
stages:
  first:
    cmd: cp raw.txt a.txt
    deps: [raw.txt]
    outs: [a.txt]
  second:
    cmd: cp a.txt b.txt
    deps: [a.txt]
    outs: [b.txt]
"""


def test_a_pipeline_that_never_ran_is_one_break(
    new_project: Callable[[], Project],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = new_project()
    (project.root / "mlflow.db").unlink()
    project.write("dvc.yaml", PIPELINE)
    project.write("raw.txt", "raw")
    project.commit("code")
    monkeypatch.chdir(project.root)
    assert main(["verify", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (broken,) = found["breaks"]
    assert broken["check"] == "not run"
    assert "none of its 2 stages has an entry in dvc.lock" in broken["sentence"]
    assert any("there is no tracking store" in each for each in found["skipped"])
    assert not Path("mlflow.db").exists()


def test_what_differs_of_stages_that_ran_is_still_a_break(
    storeless: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    storeless.write(
        "dvc.yaml",
        (storeless.root / "dvc.yaml").read_text()
        + "  new:\n    cmd: 'true'\n    deps: [raw.txt]\n",
    )
    storeless.write("raw.txt", "edited")
    assert main(["verify", "--json"]) == 1
    breaks = json.loads(capsys.readouterr().out)["breaks"]
    named = [(each["check"], each["subject"]) for each in breaks]
    assert ("not run", "new") in named
    assert named.count(("differs from the lock", "raw.txt")) == 1
