"""What a stage's run says when things go wrong, and when they do not."""

from pathlib import Path

import pytest

from lineage.project import Project as Asked
from lineage.verbs.sync import sync
from tests.lineage.conftest import Project, with_stage

pytestmark = pytest.mark.slow


def test_a_failure_is_a_failed_run_with_its_sentence(project: Project) -> None:
    with_stage(project, " fail")
    done = project.run("dvc", "repro", ok=False)
    (run,) = project.runs("make")
    assert "stage: the sky fell: look up." in done.stderr
    assert "Traceback" not in done.stderr
    assert run.info.status == "FAILED"
    assert run.data.tags["error"] == "the sky fell: look up."
    assert "dvc.outs" not in run.data.tags


def test_a_stage_started_by_hand_is_told_so(project: Project) -> None:
    done = with_stage(project).run("python", "stage.py", "text", ok=False)
    assert done.stderr.startswith("stage: this is the command of a DVC stage")
    assert done.stderr.count("\n") == 1
    assert not (project.root / "out.txt").exists()


def test_what_a_forced_stage_lacks_is_told(project: Project) -> None:
    pipeline = with_stage(project).root / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("[stage.py]", "[stage.py, raw.txt]"))
    done = project.run("dvc", "repro", "--force", "--single-item", "make", ok=False)
    assert "stage: stage make reads raw.txt, which is not here" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.runs("make") == []


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
    sync(Asked.find(project.root))
    assert len(project.runs("make", "it's/dvc.yaml")) == 1
