"""What a user can get wrong: one sentence on the error stream, exit code 1, no traceback."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.cli import main
from tests.lineage.conftest import Project, Said, sentence_of

PIPELINE = """
stages:
  copy:
    cmd: cp raw.txt made.txt
    deps: [raw.txt]
    outs: [made.txt: {type: dataset}]
"""


@pytest.fixture(scope="module")
def small(new_project: Callable[[], Project]) -> Project:
    """A project of one stage that needs no Python, with two tagged versions."""
    project = new_project()
    project.write("dvc.yaml", PIPELINE)
    for tag in ("v1", "v2"):
        project.write("raw.txt", tag)
        project.run("dvc", "repro", "--quiet")
        project.release(tag)
    return project


@pytest.fixture
def said(said: Said, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Run a verb that must fail, in a folder; returns its sentence."""

    def run(folder: Path, *words: str) -> str:
        monkeypatch.chdir(folder)
        return said(*words)

    return run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["trace", "nonsense"], "nonsense is nothing that git, DVC or this tracking store knows"),
        (["trace", "made.txt@v9"], "'v9' is no git revision; known are main, v1, v2"),
        (["trace", "maed.txt@v1"], "no data is tracked as maed.txt at v1; tracked there: made.txt"),
        (["show", "models:/nope/1"], "no model 'nope' is registered"),
        (["show", "models:/nope"], "names no model version"),
        (["sync", "v9"], "v9 is no revision of this git repository"),
        (["attempts", "v9"], "no attempt at v9 left anything"),
        (["verify", "v9"], "v9 is no revision of this git repository"),
        (["log", "elsewhere"], "no revision tracks data at elsewhere; tracked are made.txt"),
        (["report", "--since", "noon"], "--since noon is no time"),
        (["checkout", "made.txt@v1", "raw.txt"], "raw.txt exists already"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_word(small: Project, said: Said, words: list[str], told: str) -> None:
    assert told in said(small.root, *words)


def test_a_word_that_means_two_things_names_both(small: Project, said: Said) -> None:
    digest = small.lock(rev="v1")["copy"]["outs"][0]["md5"]
    small.run("git", "branch", digest[:8])
    try:
        sentence = said(small.root, "trace", digest[:8])
    finally:
        small.run("git", "branch", "-D", digest[:8])
    assert "may mean 2 things" in sentence
    assert "the revision" in sentence
    assert digest in sentence


def test_a_server_that_is_down(small: Project, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert "no MLflow tracking store answers" in said(small.root, "trace", "v1")


def test_outside_of_any_repository(said: Said, tmp_path: Path) -> None:
    assert "is not inside a DVC repository" in said(tmp_path, "log")


def test_a_shallow_clone_says_what_is_missing(
    small: Project, said: Said, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = small.run("git", "rev-parse", "v1").stdout.strip()
    small.clone(tmp_path / "c", "--depth", "1")
    assert "git fetch --unshallow" in said(tmp_path / "c", "trace", old)
    assert main(["log"]) == 0
    assert "this clone is shallow" in capsys.readouterr().err


def test_data_that_are_nowhere(small: Project, said: Said, tmp_path: Path) -> None:
    small.clone(tmp_path / "c")
    sentence = said(tmp_path / "c", "checkout", "made.txt@v1", str(tmp_path / "out"))
    assert "not in the DVC cache" in sentence
    assert not (tmp_path / "out").exists()


def test_a_lock_with_conflict_markers(small: Project, said: Said, tmp_path: Path) -> None:
    small.clone(tmp_path / "c")
    lock = tmp_path / "c" / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n>>>>>>> other\n")
    assert "dvc.lock has git merge conflict markers" in said(tmp_path / "c", "log")


def test_a_repository_without_commits(
    new_project: Callable[[], Project],
    said: Said,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = new_project().root
    assert "HEAD is nothing that git" in said(empty, "trace", "HEAD")
    assert main(["log"]) == 0
    assert "No revision tracks data yet" in capsys.readouterr().out


def test_a_detached_head_is_as_good_as_a_branch(
    small: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.clone(tmp_path / "c").run("git", "checkout", "--quiet", "v1")
    monkeypatch.chdir(tmp_path / "c")
    assert main(["trace", "made.txt"]) == 0


def test_a_run_that_was_deleted_and_one_that_names_no_data(small: Project, said: Said) -> None:
    client = small.client
    run = client.create_run("0").info.run_id
    assert "names no data" in said(small.root, "trace", run)
    client.delete_run(run)
    assert f"mlflow runs restore --run-id {run}" in said(small.root, "trace", run)


def test_a_version_of_another_repository_is_told_as_such(
    small: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = small.client
    client.create_registered_model("theirs")
    client.create_model_version("theirs", "/nowhere", tags={"dvc.hash": "0" * 32})
    monkeypatch.chdir(small.root)
    assert main(["trace", "models:/theirs/1"]) == 0
    assert "comes from another repository or store" in capsys.readouterr().err


# Words and places.


def test_a_folder_that_was_deleted(copied: Project) -> None:
    done = copied.run("sh", "-c", "mkdir x; cd x; rmdir ../x; lineage log", ok=False)
    assert done.returncode == 1
    assert "the current folder is not there any more" in sentence_of(done.stderr)


@pytest.mark.parametrize("verb", ["show", "trace", "impact"])
def test_a_version_that_no_database_can_count(registered: Project, said: Said, verb: str) -> None:
    sentence = said(registered.root, verb, "models:/x/99999999999999999999")
    assert "x has no such version or alias; it has 1." in sentence


def test_a_revision_without_data_says_so(
    registered: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered.root)
    assert main(["trace", "bare"]) == 0
    assert "lineage: bare records no data" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("show", "data/made.txt"),
        ("show", "data/made.txt@v1"),
        ("trace", "data/made.txt"),
        ("trace", "weights.txt@v2"),
        ("impact", "raw.txt"),
        ("impact", "raw.txt@v2"),
        ("log", "data/made.txt"),
    ],
)
def test_paths_are_relative_to_the_folder_one_is_in(
    registered: Project,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    path: str,
) -> None:
    (registered.root / "sub").mkdir(exist_ok=True)
    answers = []
    for folder, ref in ((".", path), ("sub", f"../{path}")):
        monkeypatch.chdir(registered.root / folder)
        assert main([verb, ref, "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out.replace(f'"{ref}"', f'"{path}"')))
    assert answers[0] == answers[1]


# Signals.


def test_who_is_terminated_ends_as_for_ctrl_c(copied: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            ["lineage", "trace", "0" * 32],
            cwd=copied.root,
            env={**copied.environment, "MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                os.kill(process.pid, signal.SIGTERM)
                out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in error
