"""History reads DVC files as DVC does, at every revision, and finds hashes as `git grep` does."""

import subprocess
from collections.abc import Callable

import pytest

from lineage.history import History
from lineage.workspace import Workspace, locked_stages
from tests.lineage.conftest import Project

PIPELINE = """
vars: [{folder: deep, kinds: [one, two]}]
stages:
  plain:
    cmd: cp raw.txt made.txt
    deps: [raw.txt]
    params: [some.key]
    outs: [made.txt: {type: model, labels: [best], push: false}]
  several:
    cmd: [cp made.txt a.txt, cp made.txt b.json]
    deps: [made.txt]
    outs: [a.txt]
    metrics: [b.json: {cache: false}]
  elsewhere:
    cmd: cp ../made.txt out.txt
    wdir: ${folder}
    deps: [../made.txt]
    outs: [out.txt]
  each:
    foreach: ${kinds}
    do:
      cmd: cp raw.txt each-${item}.txt
      deps: [raw.txt]
      outs: ["each-${item}.txt": {type: report}]
  grid:
    matrix: {size: [1, 2]}
    cmd: cp made.txt grid-${item.size}.txt
    deps: [made.txt]
    outs: ["grid-${item.size}.txt"]
"""
BELOW = """
stages:
  plain:
    cmd: cp ../made.txt made.txt
    deps: [../made.txt]
    outs: [made.txt]
"""


@pytest.fixture(scope="module")
def project(new_project: Callable[[], Project]) -> Project:
    """Many kinds of stages, two versions, a removed stage, a broken lock, `dvc add`."""
    project = new_project()
    project.write("params.yaml", "some: {key: 1e-07}\n")
    project.write("dvc.yaml", PIPELINE)
    project.write("below/dvc.yaml", BELOW)
    project.write("deep/.keep", "")
    for version in ("v1", "v2"):
        project.write("raw.txt", f'{{"version": "{version}"}}')
        project.write("added.txt", version)
        project.run("dvc", "add", "--quiet", "added.txt")
        project.run("dvc", "repro", "--quiet", "--all-pipelines")
        project.commit(version)
        project.run("git", "tag", "--annotate", version, "--message", version)
    project.write("dvc.yaml", PIPELINE[: PIPELINE.index("  grid:")])
    project.commit("without the grid")
    project.run("git", "switch", "--quiet", "--create", "broken")
    lock = (project.root / "dvc.lock").read_text()
    project.write("dvc.lock", f"<<<<<<< HEAD\n{lock}=======\n>>>>>>> other\n")
    project.commit("conflict")
    project.run("git", "switch", "--quiet", "main")
    project.run("git", "tag", "blob", project.run("git", "hash-object", "raw.txt").stdout.strip())
    return project


@pytest.mark.parametrize("rev", ["v1", "v2", "main", None])
def test_a_revision_is_read_as_dvc_reads_it(project: Project, rev: str | None) -> None:
    workspace = Workspace.find(project.root)
    history = History(workspace)
    commit = history.named(rev) if rev else history.present
    expected = {stage.execution.stage: stage for stage in locked_stages(workspace, rev)}
    found = {stage.execution.stage: stage for stage in history.snapshot(commit).stages}
    assert found.keys() == expected.keys()
    for name, stage in expected.items():
        assert found[name] == stage, name
    assert len(expected) == (6 if rev in ("main", None) else 8)


def test_what_was_added_is_there(project: Project) -> None:
    history = History(Workspace.find(project.root))
    text = project.run("git", "show", "v1:added.txt.dvc").stdout
    (added,) = history.snapshot(history.named("v1")).added
    assert (added.item.path, added.file) == ("added.txt", "added.txt.dvc")
    assert added.item.hash in text


def test_hashes_are_found_where_git_grep_finds_them(project: Project) -> None:
    history = History(Workspace.find(project.root))
    digest = project.lock(rev="v1")["plain"]["outs"][0]["md5"]
    every = project.run("git", "rev-list", "--all").stdout.split()
    grepped = {
        commit
        for commit in every
        if project.run("git", "grep", "-q", digest, commit, "--", "*.lock", ok=False).returncode
        == 0
    }
    assert {commit.id for commit in history.containing(digest)} == grepped
    assert {commit.id for commit in history.commits} == set(every)
    stages = {str(each.observed.execution.stage) for each in history.reading(digest)}
    # raw.txt has the same bytes as made.txt.
    of_raw, of_made = {"plain", "each@one", "each@two"}, {"several", "elsewhere"}
    assert stages == of_raw | of_made | {"grid@1", "grid@2", "below/dvc.yaml:plain"}


def test_a_lock_that_cannot_be_read_is_told_and_the_rest_is_answered(project: Project) -> None:
    history = History(Workspace.find(project.root))
    broken = history.snapshot(history.named("broken"))
    assert {str(stage.execution.stage) for stage in broken.stages} == {"below/dvc.yaml:plain"}
    (warning,) = history.warnings
    assert "merge conflict" in warning
    assert history.named("broken").short in warning


def test_names_are_those_of_branches_and_tags(project: Project) -> None:
    history = History(Workspace.find(project.root))
    assert history.tips.keys() == {"main", "broken", "v1", "v2"}  # and not the tag on a blob
    assert history.named("v1").names == ("v1",)
    assert history.head == project.run("git", "rev-parse", "HEAD").stdout.strip()


def test_a_worktree_has_the_same_history(project: Project) -> None:
    other = project.root.parent / "worktree"
    subprocess.run(
        ["git", "worktree", "add", "--quiet", "--detach", other, "v1"],
        cwd=project.root,
        check=True,
    )
    history = History(Workspace.find(other))
    assert history.find("HEAD") == history.find("v1")
    assert history.snapshot(history.present) == history.snapshot(history.named("v1"))
