"""Which repository keeps the tracking store."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lineage.cli import main
from lineage.repository.workspace import Workspace
from tests.lineage.conftest import Project, with_stage


def test_a_temporary_experiment_of_a_worktree_belongs_to_the_main_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_stage(project)
    project.run("git", "worktree", "add", "--quiet", "../beside")
    beside = replace(project, root=project.root.parent / "beside")
    copy = beside.root / ".dvc" / "tmp" / "exps" / "tmpcopy"
    beside.run("git", "clone", "--quiet", ".", str(copy))
    # As DVC sets it for the stages of one.
    monkeypatch.setenv("DVC_ROOT", str(beside.root))
    found = Workspace.find(copy)
    assert (found.root, found.home, found.is_temporary) == (copy, project.root, True)


def test_the_run_of_a_temporary_experiment_of_a_worktree_is_where_the_others_are(
    project: Project,
) -> None:
    with_stage(project)
    project.run("git", "worktree", "add", "--quiet", "../beside")
    project.run("dvc", "exp", "run", "--temp", "--quiet", cwd="../beside")
    assert [run.info.status for run in project.runs("make")] == ["FINISHED"]
    assert not (project.root.parent / "beside" / "mlflow.db").exists()


def test_another_repository_that_a_stage_looks_into_keeps_its_own(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = project.copy(tmp_path / "other")
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    found = Workspace.find(other.root)
    assert (found.home, found.is_temporary) == (other.root, False)


@pytest.mark.parametrize("path", [".gitmodules", ".dvcignore", ".dvc/config"])
def test_settings_that_dvc_cannot_read_are_a_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    with_stage(project)
    (project.root / path).write_bytes(b"!\n\xff\n")
    monkeypatch.chdir(project.root)
    for words in (["verify"], ["show", "HEAD"]):
        assert main(words) == 1
        assert capsys.readouterr().err.startswith("lineage: DVC")


@pytest.mark.parametrize("path", ["dvc.lock", "dvc.yaml", "odd.dvc"])
def test_dvc_is_not_ended_by_what_is_too_deep_at_a_revision(project: Project, path: str) -> None:
    with_stage(project)
    project.write(path, "a: " + "[" * 100_000)
    project.release("deep")
    project.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    program = "import sys; from lineage.cli import main; sys.exit(main(sys.argv[1:]))"
    done = project.run(sys.executable, "-c", program, "verify", "deep", ok=False)
    assert done.returncode == 1
    assert "more than 1000 levels of it lie in each other" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("path", ["params.yaml", "names.yaml"])
def test_dvc_does_not_write_out_what_aliases_stand_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    with_stage(project)
    project.write("names.yaml", "a: 1\n")
    project.write("dvc.yaml", "vars: [names.yaml]\n" + (project.root / "dvc.yaml").read_text())
    levels = [f"z{n}: &z{n} [*z{n - 1}, *z{n - 1}, *z{n - 1}]" for n in range(1, 40)]
    project.write(path, "z0: &z0 [lol, lol]\n" + "\n".join(levels))
    monkeypatch.chdir(project.root)
    assert main(["verify"]) == 1
    said = capsys.readouterr().err
    assert path in said
    assert "holds more than 1,000,000 values with its aliases written out" in said
