"""Which commit has the code of a thing, and whether a revision has what its locks say."""

import shutil
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.project import Project as Asked
from lineage.verbs.checkout import checkout
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.conftest import Once
from tests.lineage.conftest import Project
from tests.lineage.written import recorded

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  make:
    cmd: cp raw.txt out.txt
    deps: [raw.txt, code]
    outs: [out.txt: {type: dataset}]
"""


@pytest.fixture(scope="module")
def edited(once: Once, blank: Project) -> Project:
    """Code that was edited after the stage had run, and committed together with its lock.

    At ``before`` is the code that ran, at ``late`` the lock with other code, at ``again`` the
    code that ran once more.
    """

    def make(folder: Path) -> Project:
        project = blank.copy(folder / "project")
        project.write("dvc.yaml", PIPELINE)
        project.write("raw.txt", "raw")
        project.write("code/a.txt", "as it ran")
        project.write("code/deep/b.txt", "b")
        project.write("code/__pycache__/a.pyc", "ignored")
        project.write(".dvcignore", "__pycache__/\n")
        project.run("git", "add", "--force", "code/__pycache__/a.pyc")
        project.release("before")
        project.run("dvc", "repro", "--quiet")
        project.write("code/a.txt", "edited since")
        project.release("late")
        project.write("code/a.txt", "as it ran")
        project.release("again")
        return project

    return once("edited code", make)


@pytest.fixture
def project(edited: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = edited.copy(tmp_path / "project")
    monkeypatch.chdir(copy.root)
    return copy


def commit(project: Project, rev: str) -> str:
    return project.run("git", "rev-parse", rev).stdout.strip()


def code_of(project: Project, ref: str, folder: Path) -> str:
    brought = checkout(Asked.find(), ref, folder, code=True)
    assert brought.commit == project.run("git", "rev-parse", "HEAD", cwd=str(folder)).stdout.strip()
    return (folder / "code/a.txt").read_text()


def test_the_code_is_that_which_ran(project: Project, tmp_path: Path) -> None:
    # The oldest lock that has it stands beside other code.
    digest = str(project.lock()["make"]["outs"][0]["md5"])
    assert code_of(project, digest, tmp_path / "it") == "as it ran"


def test_the_code_of_a_run_is_that_of_its_commit_where_no_lock_has_it(
    project: Project, tmp_path: Path
) -> None:
    before = {"git.commit": commit(project, "before"), "git.dirty": "true"}
    run_id = recorded(project, "make", **before)
    project.run("git", "tag", "--delete", "again")
    project.run("git", "reset", "--hard", "--quiet", "late")
    assert code_of(project, run_id, tmp_path / "it") == "as it ran"


def test_code_that_no_commit_has_is_told(project: Project, tmp_path: Path) -> None:
    project.write("code/a.txt", "never committed")
    project.run("dvc", "repro", "--quiet")
    project.run("git", "commit", "--quiet", "--message", "lock", "dvc.lock")
    with pytest.raises(LineageError, match=r"no commit has exactly the code of .* another code;"):
        checkout(Asked.find(), "out.txt@HEAD", tmp_path / "it", code=True)
    assert not (tmp_path / "it").exists()


def test_a_shallow_clone_is_told_with_the_answer(project: Project, tmp_path: Path) -> None:
    project.run("git", "tag", "--delete", "before", "late")
    clone = project.clone(tmp_path / "clone", "--depth", "1")
    shutil.copytree(project.root / ".dvc/cache", clone.root / ".dvc/cache")
    brought = checkout(Asked.find(clone.root), "HEAD", tmp_path / "it", code=True)
    assert any("shallow" in each for each in brought.warnings)


@pytest.mark.parametrize(("rev", "differs"), [("late", True), ("again", False)])
def test_verify_tells_of_code_that_is_not_what_was_read(
    rev: str, differs: bool, project: Project
) -> None:
    found = [each for each in verify(Asked.find(), rev).breaks if each.check is Check.DIFFERS]
    assert [each.subject for each in found] == (["make"] if differs else [])
    assert not differs or "late has another code than its lock records" in found[0].sentence


ALWAYS = """
stages:
  always:
    cmd: lineage run -- cp raw.txt always.txt
    deps: [raw.txt]
    outs: [always.txt]
    always_changed: true
  nothing:
    cmd: lineage run -- true
    deps: [raw.txt]
  alone:
    cmd: lineage run -- true
"""


def test_stages_that_always_run_or_write_nothing_pass(
    blank: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = blank.copy(tmp_path / "project")
    project.write("dvc.yaml", ALWAYS)
    project.write("raw.txt", "raw")
    project.commit("stages")
    project.run("dvc", "repro", "--quiet")
    project.release("v1")
    monkeypatch.chdir(project.root)
    for rev in (None, "v1"):
        assert verify(Asked.find(), rev).breaks == ()
