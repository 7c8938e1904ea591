"""Which code a stage runs: its repository, and whether a commit has it."""

import pytest

from lineage.recording.run_record import code_tags
from lineage.repository.code import repository_url
from lineage.repository.workspace import Workspace
from tests.lineage.conftest import Project, with_stage


def test_what_a_stage_writes_is_no_dirt_where_git_keeps_it(project: Project) -> None:
    project.write(
        "dvc.yaml",
        "stages:\n  make:\n    cmd: python stage.py text random\n    deps: [stage.py]\n"
        "    metrics: [m.json: {cache: false}]\n",
    )
    project.commit("a metric in git")
    project.run("dvc", "repro")
    project.commit("its value")
    project.run("dvc", "repro", "--force")
    assert [run.data.tags["git.dirty"] for run in project.runs("make")] == ["false", "false"]


@pytest.mark.parametrize(
    ("path", "text", "dirty"),
    [
        ("params.yaml", "tracking: {experiment: other}\nmachine: {workers: 9}\n", "false"),
        ("params.yaml", "tracking: {experiment: bridge}\ntrain: {lr: 1}\n", "true"),
        ("notes.txt", "to do", "false"),
        ("code/new.py", "print()", "true"),
        ("code/old.py", "print(1)", "true"),
    ],
    ids=["machine and tracking", "a param", "an untracked note", "untracked code", "edited code"],
)
def test_dirty_means_code_that_no_commit_has(
    project: Project, path: str, text: str, dirty: str
) -> None:
    from lineage.repository.code import CodeState
    from lineage.repository.workspace import Workspace

    project.write("code/old.py", "print(0)")
    with_stage(project)
    project.write("dvc.lock", "schema: '2.0'\n")
    project.write(path, text)
    workspace = Workspace.find(project.root)
    assert code_tags(CodeState.of(workspace, ["stage.py", "code"]))["git.dirty"] == dirty


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host.org/a.git", "https://host.org/a.git"),
        ("https://token@host.org:8443/a.git?key=1", "https://host.org:8443/a.git"),
        ("git@host.org:team/a.git", "git@host.org:team/a.git"),
        ("ssh://git@host.org/a.git", "ssh://host.org/a.git"),
        ("/srv/git/a.git", ""),
        ("file:///srv/git/a.git", ""),
    ],
)
def test_no_secret_of_the_remote_reaches_mlflow(project: Project, url: str, shown: str) -> None:
    project.run("git", "remote", "add", "origin", url)
    assert repository_url(Workspace.find(project.root)) == shown
