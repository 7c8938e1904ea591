"""Data that git keeps, that are never pushed, in remotes of their own or in another repository."""

import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.project import Project as Asked
from lineage.verbs.checkout import checkout
from lineage.verbs.sync import sync
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.lineage.conftest import Ask, Project, tag
from tests.lineage.trained import begin, folder_of, register

KEPT = """
stages:
  prepare:
    cmd: mkdir -p data && cp raw.txt data/train && cp labels.txt rows.json
    deps: [raw.txt, labels.txt]
    outs:
    - data/train: {type: dataset}
    - rows.json: {type: dataset, cache: false}
  train:
    cmd: mkdir -p models && printf model > models/m
    deps: [data/train, rows.json]
    outs: [models/m: {type: model}]
"""


# What is not pushed.


@pytest.fixture(scope="module")
def kept(new_project: Callable[[], Project]) -> Project:
    """Train reads what DVC pushed, and what git keeps; its model is registered."""
    project = begin(new_project(), KEPT)
    with (project.root / ".gitignore").open("a") as ignored:
        ignored.write("/remote/\n")
    project.run("dvc", "remote", "add", "--default", "storage", "remote")
    project.run("dvc", "repro")
    project.run("dvc", "push")
    project.release("v1")
    assert project.run("git", "show", "v1:rows.json").stdout == "cat"
    sync(Asked.find(project.root))
    (train,) = project.runs("train")
    assert set(tag(train, "dvc.deps")) == {"data/train", "rows.json"}
    register(project, train)
    return project


SCATTERED = """
stages:
  rows:
    cmd: mkdir -p data && cp raw.txt data/rows.txt
    deps: [raw.txt]
    outs: [data/rows.txt: {type: dataset, remote: two}]
  words:
    cmd: mkdir -p data && cp labels.txt data/words.txt
    deps: [labels.txt]
    outs: [data/words.txt: {type: dataset}]
  train:
    cmd: mkdir -p models && printf model > models/m
    deps: [data/rows.txt, imported.txt]
    outs: [models/m: {type: model}]
  survey:
    cmd: printf text > survey.txt
    deps: [data]
    outs: [survey.txt: {type: report}]
"""


# What is in a remote of its own, or in another repository.


@pytest.fixture(scope="module")
def scattered(
    new_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A clone with nothing checked out, of data in two remotes and in another repository."""
    source = new_project()
    source.write("words.txt", "imported")
    source.run("dvc", "add", "--quiet", "words.txt")
    source.commit("words")
    project = begin(new_project(), SCATTERED)
    folder = tmp_path_factory.mktemp("scattered")
    project.run("dvc", "import", "--quiet", str(source.root), "words.txt", "--out", "imported.txt")
    project.run("dvc", "remote", "add", "--default", "one", str(folder / "one"))
    project.run("dvc", "remote", "add", "two", str(folder / "two"))
    project.run("dvc", "repro")
    project.run("dvc", "push")
    project.release("v1")
    sync(Asked.find(project.root))
    register(project, *project.runs("train"))
    return project.clone(folder / "clone")


def test_what_was_pushed_once_and_is_not_since_is_not_lost(
    kept: Project, ask: Ask, tmp_path: Path
) -> None:
    project = kept.copy(tmp_path / "project")
    digest = folder_of(project, "v1")
    for place in (".dvc/cache", "remote"):
        (project.root / place / "files/md5" / digest[:2] / digest[2:]).unlink()
    assert Check.DATA_LOST in {each.check for each in verify(ask(project)).breaks}
    flags = "data/train: {type: dataset, push: false}"
    project.write("dvc.yaml", KEPT.replace("data/train: {type: dataset}", flags))
    project.release("v2")
    assert Check.DATA_LOST not in {each.check for each in verify(ask(project)).breaks}
    assert Check.DATA_LOST not in {each.check for each in verify(ask(project), "v1").breaks}


def test_what_git_keeps_is_not_lost(kept: Project, ask: Ask) -> None:
    for rev in (None, "v1"):
        found = verify(ask(kept), rev)
        assert (found.breaks, found.model_versions) == ((), 1)


def test_a_checkout_names_what_git_keeps_and_brings_the_rest(
    kept: Project, ask: Ask, tmp_path: Path
) -> None:
    brought = checkout(ask(kept), "v1", tmp_path / "all")
    files = {
        path.relative_to(tmp_path / "all").as_posix(): path.read_text()
        for path in (tmp_path / "all").rglob("*")
        if path.is_file()
    }
    assert files == {"data/train": "raw", "models/m": "model"}
    (warning,) = brought.warnings
    assert "git show" in warning
    command = warning.partition("`")[2].partition("`")[0].split()
    assert kept.run(*command).stdout == "cat"
    brought = checkout(ask(kept), "models:/toy/1", tmp_path / "inputs", inputs=True)
    (warning,) = brought.warnings
    assert "git show" in warning
    (digest,) = [placed.hash for placed in brought.places]
    assert digest == folder_of(kept, "v1")


TWO = """
stages:
  make:
    cmd: cp raw.txt made.txt && cp labels.txt kept.txt
    deps: [raw.txt, labels.txt]
    outs:
    - made.txt: {type: dataset}
    - kept.txt: {type: report, cache: false}
"""


@pytest.fixture(scope="module")
def two(new_project: Callable[[], Project]) -> Project:
    """A stage of whose two outputs git keeps one."""
    project = begin(new_project(), TWO)
    project.run("dvc", "repro")
    project.release("v1")
    sync(Asked.find(project.root))
    return project


def brought_to(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


@pytest.mark.parametrize("is_known", [True, False])
def test_a_run_brings_the_outputs_that_git_does_not_keep(
    two: Project, ask: Ask, tmp_path: Path, is_known: bool
) -> None:
    (run,) = two.runs("make")
    project = two if is_known else two.copy(tmp_path / "project")
    if not is_known:  # by any lock
        project.run("git", "tag", "--delete", "v1")
        project.write("raw.txt", "new")
        project.write("labels.txt", "dog")
        project.run("dvc", "repro")
        project.run("git", "add", "--all")
        project.run("git", "commit", "--quiet", "--amend", "--message", "other")
    brought = checkout(ask(project), run.info.run_id, tmp_path / "out")
    assert brought_to(tmp_path / "out") == {"made.txt": "raw"}
    (warning,) = brought.warnings
    assert warning.startswith("kept.txt is kept by git")
    if is_known:
        command = warning.partition("`")[2].partition("`")[0].split()
        assert two.run(*command).stdout == "cat"


def test_a_revision_is_a_folder_however_little_it_has(
    two: Project, ask: Ask, tmp_path: Path
) -> None:
    checkout(ask(two), "v1", tmp_path / "revision")
    assert brought_to(tmp_path / "revision") == {"made.txt": "raw"}
    checkout(ask(two), "made.txt@v1", tmp_path / "alone")
    assert (tmp_path / "alone").read_text() == "raw"


def test_a_run_all_of_whose_outputs_git_keeps_says_where_they_are(
    two: Project, ask: Ask, tmp_path: Path
) -> None:
    project = two.copy(tmp_path / "project")
    kept = TWO.replace("    - made.txt: {type: dataset}\n", "").replace("made.txt", "/dev/null")
    project.write("dvc.yaml", kept)
    project.run("dvc", "repro")
    project.release("v2")
    sync(Asked.find(project.root))
    with pytest.raises(LineageError, match=r"no data to check out\. kept\.txt is kept by git"):
        checkout(ask(project), project.runs("make")[-1].info.run_id, tmp_path / "out")


def test_who_is_terminated_leaves_no_half_of_a_checkout(kept: Project, tmp_path: Path) -> None:
    project = kept.copy(tmp_path / "project")
    digest = folder_of(project, "v1")
    (project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    places = tmp_path / "places"
    places.mkdir()

    def worktrees() -> int:
        return len(project.run("git", "worktree", "list").stdout.splitlines())

    # A remote that says nothing: by the time it is asked, the code is there.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        project.run("dvc", "remote", "modify", "--local", "storage", "url", url)
        process = subprocess.Popen(
            ["lineage", "checkout", "data/train@v1", str(places / "out"), "--code"],
            cwd=project.root,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                assert worktrees() == 2
                assert len(list(places.iterdir())) == 1
                os.kill(process.pid, signal.SIGTERM)
                _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in error
    assert list(places.iterdir()) == []
    assert worktrees() == 1


@pytest.mark.parametrize("check", [Check.DATA_LOST, Check.DIFFERS])
def test_what_is_elsewhere_is_neither_lost_nor_different(
    scattered: Project, ask: Ask, check: Check
) -> None:
    assert not (scattered.root / "data" / "rows.txt").exists()
    assert list((scattered.root / ".dvc").glob("cache/files/md5/*/*")) == []
    for rev in (None, "v1"):
        found = verify(ask(scattered), rev)
        assert [each.subject for each in found.breaks if each.check is check] == []
        assert (found.breaks, found.stages, found.model_versions) == ((), 4, 1)


def test_a_checkout_asks_each_remote(scattered: Project, ask: Ask, tmp_path: Path) -> None:
    project = scattered.copy(tmp_path / "project")
    brought = checkout(ask(project), "v1", tmp_path / "all")
    files = {
        path.relative_to(tmp_path / "all").as_posix(): path.read_text()
        for path in (tmp_path / "all").rglob("*")
        if path.is_file()
    }
    assert files == {
        "data/rows.txt": "raw",
        "data/words.txt": "cat",
        "models/m": "model",
        "survey.txt": "text",
    }
    (warning,) = brought.warnings
    assert "imported.txt is imported" in warning
