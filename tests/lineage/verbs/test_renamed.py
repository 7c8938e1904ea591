"""A stage, or the folder of its pipeline, under another name is the one that ran."""

from pathlib import Path

import pytest

from lineage.project import Project as Asked
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.conftest import Once
from tests.lineage.conftest import Project, tag
from tests.lineage.graphs import data_of

pytestmark = pytest.mark.slow

PIPELINE = """
stages:
  {name}:
    cmd: lineage run -- cp raw.txt out.txt
    deps: [raw.txt]
    outs: [out.txt]
"""


@pytest.fixture(scope="module")
def ran(once: Once, blank: Project) -> Project:
    """A stage of a folder that ran, and is committed."""

    def make(folder: Path) -> Project:
        project = blank.copy(folder / "project")
        project.write("one/dvc.yaml", PIPELINE.format(name="make"))
        project.write("one/raw.txt", "raw")
        project.commit("code")
        project.run("dvc", "repro", "--quiet", "one/dvc.yaml")
        project.release("v1")
        return project

    return once("renamed", make)


@pytest.fixture
def project(ran: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    copy = ran.copy(tmp_path / "project")
    monkeypatch.chdir(copy.root)
    return copy


def stage_renamed(project: Project) -> None:
    project.write("one/dvc.yaml", PIPELINE.format(name="make_it"))
    project.run("dvc", "repro", "--quiet", "one/dvc.yaml")  # from the run-cache


def folder_renamed(project: Project) -> None:
    project.run("git", "mv", "one", "two")


@pytest.mark.parametrize("rename", [stage_renamed, folder_renamed])
def test_nothing_is_written_down_beside_the_real_run(rename: object, project: Project) -> None:
    assert callable(rename)
    rename(project)
    project.release("v2")
    for rev in (None, "v2", "v1"):
        assert sync(Asked.find(), rev).runs == ()
        assert verify(Asked.find(), rev).breaks == ()


def test_a_copy_beside_it_is_another_stage_that_did_not_run(project: Project) -> None:
    for name in ("dvc.yaml", "dvc.lock", "raw.txt", "out.txt", ".gitignore"):
        project.write(f"two/{name}", (project.root / "one" / name).read_text())
    project.release("v2")
    assert sync(Asked.find()).runs == ("two/dvc.yaml:make",)


def test_code_of_a_run_that_no_lock_holds_is_code_under_its_old_name(project: Project) -> None:
    project.write("one/raw.txt", "overtaken")
    project.run("dvc", "repro", "--quiet", "one/dvc.yaml")
    run = project.runs("make", "one/dvc.yaml")[-1]
    project.run("git", "checkout", "--quiet", "--", "one")
    folder_renamed(project)
    project.release("v2")
    assert set(tag(run, "dvc.deps")) == {"one/raw.txt"}
    assert "one/raw.txt" not in {path for path, _ in data_of(trace(Asked.find(), run.info.run_id))}


def test_code_of_a_run_is_code_where_no_commit_ever_had_its_folder(project: Project) -> None:
    folder_renamed(project)
    project.run("dvc", "repro", "--quiet", "--force", "two/dvc.yaml")
    project.run("git", "mv", "two", "one")
    run = project.runs("make", "two/dvc.yaml")[-1]
    assert set(tag(run, "dvc.deps")) == {"two/raw.txt"}
    assert "two/raw.txt" not in {path for path, _ in data_of(trace(Asked.find(), run.info.run_id))}
