"""Runs that are written down later than they ran."""

import json
import subprocess
from pathlib import Path

import mlflow
import pytest

import lineage
from lineage.plugins import Facts
from lineage.recording.backfill import ensure_run
from lineage.repository.workspace import Workspace
from tests.lineage.by_dvc import locked_stages
from tests.lineage.conftest import Project


def known_words(path: Path) -> Facts:
    """The facts of a package that knows text files."""
    files = files_of(path) if path.is_dir() else [path]
    return Facts({"words": " ".join(file.read_text() for file in files)})


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_backfilled_run_has_all_facts_where_only_the_cache_has_the_bytes(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("raw/one.txt", "read")
    project.write("dvc.yaml", "stages: {make: {cmd: cp -r raw made, deps: [raw], outs: [made]}}")
    project.run("dvc", "add", "--quiet", "raw")
    project.run("dvc", "repro", "--quiet")
    project.commit("made it")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", project.root, clone], check=True)
    cache = str(project.root / ".dvc" / "cache")
    project.run("dvc", "cache", "dir", "--local", cache, cwd=str(clone))

    monkeypatch.setattr("lineage.recording.run_record.facts", known_words)
    workspace = Workspace.find(clone)
    (stage,) = locked_stages(workspace)
    mlflow.set_tracking_uri(f"sqlite:///{project.root / 'mlflow.db'}")
    ensured = ensure_run(lineage.Project(workspace), stage)
    run = ensured.run
    assert ensured.is_new and not (clone / "raw").exists() and not (clone / "made").exists()
    for logged in run.inputs.dataset_inputs:
        profile = json.loads(logged.dataset.profile)
        assert profile == {"words": "read", "files": 1, "bytes": 4}
    assert {logged.dataset.name for logged in run.inputs.dataset_inputs} == {"raw", "made"}


@pytest.mark.parametrize("is_damaged", [False, True])
def test_metrics_come_only_from_bytes_that_are_what_they_are_called(
    project: Project, is_damaged: bool
) -> None:
    project.write("m.json", '{"loss": 1}')
    cmd = "cp m.json made.json"
    pipeline = {"cmd": cmd, "deps": ["m.json"], "metrics": ["made.json"]}
    project.write("dvc.yaml", json.dumps({"stages": {"make": pipeline}}))
    project.run("dvc", "repro", "--quiet")
    project.commit("made it")
    (project.root / "made.json").unlink()
    if is_damaged:
        digest = project.lock()["make"]["outs"][0]["md5"]
        place = project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        place.chmod(0o644)
        place.write_text('{"loss": 9}')
        place.chmod(0o444)
    workspace = Workspace.find(project.root)
    (stage,) = locked_stages(workspace)
    run = ensure_run(lineage.Project(workspace), stage).run
    assert run.data.metrics == ({} if is_damaged else {"loss": 1})
