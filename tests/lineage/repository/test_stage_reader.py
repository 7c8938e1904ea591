"""A signature from inside a stage is the one from ``dvc.lock``, at any revision."""

from collections.abc import Callable

import pytest

from lineage.identity import Execution, StageId, signature
from lineage.repository.workspace import Workspace
from lineage.tracking.runs import Runs
from tests.lineage.by_dvc import locked_stages
from tests.lineage.conftest import Project, hashes, tag

PIPELINE = """
vars: [{word: hello}]
stages:
  plain:
    cmd: python stage.py plain
    deps: [stage.py, raw]
    params: [a, b, n]
    outs: [out/plain.txt]
  list:
    cmd: [python stage.py "two words", echo done]
    deps: [stage.py, out/plain.txt]
    outs: [out/list.txt]
  wdir:
    wdir: work
    cmd: python ../stage.py wdir
    deps: [../stage.py, ../out/plain.txt]
    params: [../params.yaml: [b]]
    outs: [wdir.txt]
  each:
    foreach: [p]
    do:
      cmd: python stage.py ${item}
      deps: [stage.py]
      outs: ["out/each-${item}.txt"]
  grid:
    matrix: {x: [1]}
    cmd: python stage.py ${item.x}
    deps: [stage.py]
    params: [a.lr]
    outs: ["out/grid-${item.x}.txt"]
  templated:
    cmd: python stage.py ${word} ${a.lr}
    deps: [stage.py]
    outs: ["out/${word}.txt"]
"""
SUBDIRECTORY = """
stages:
  plain:
    cmd: python ../stage.py plain
    deps: [../stage.py]
    outs: [plain.txt]
"""
PARAMS = """
tracking: {experiment: bridge}
a: {lr: 1e-07, on: yes, name: "0123", nested: {1: 2, 3: null}}
b: 1.0
n: [1, 2.50, ~]
"""
STAGES = [
    ("dvc.yaml", name) for name in ["plain", "list", "wdir", "each@p", "grid@1", "templated"]
] + [("sub/dvc.yaml", "plain")]


@pytest.fixture(scope="module")
def old_and_new(new_project: Callable[[], Project]) -> tuple[Project, str]:
    """A project whose every stage ran at an old revision and again after a change."""
    project = new_project()
    project.write("dvc.yaml", PIPELINE)
    project.write("sub/dvc.yaml", SUBDIRECTORY)
    project.write("params.yaml", PARAMS)
    project.write("work/.gitkeep", "")
    project.write("raw/one.txt", "1")
    project.run("dvc", "add", "--quiet", "raw")
    project.commit("a pipeline")
    project.run("dvc", "repro", "--quiet", "--all-pipelines")
    old = project.commit("ran it")
    project.write("stage.py", (project.root / "stage.py").read_text() + "\n# changed\n")
    # From another folder, so that DVC names the stages by other addresses.
    project.run("dvc", "repro", "--quiet", "--all-pipelines", cwd="sub")
    project.commit("changed the code and ran it again")
    return project, old


@pytest.mark.slow
@pytest.mark.parametrize(("pipeline", "stage"), STAGES)
def test_signatures_agree(old_and_new: tuple[Project, str], pipeline: str, stage: str) -> None:
    project, old = old_and_new
    folder = pipeline.removesuffix("dvc.yaml").rstrip("/") or "."
    first, second = project.runs(stage, pipeline)
    for run, rev in [(first, old), (second, "HEAD")]:
        entry = project.lock(folder, rev)[stage]
        assert run.info.status == "FINISHED"
        assert run.data.tags["dvc.signature"] == signature(entry)
        wdir = {"wdir": "work"}.get(stage, folder)
        execution = Execution.from_lock_entry(StageId(pipeline, stage), entry, wdir)
        assert tag(run, "dvc.deps") == execution.deps
        assert tag(run, "dvc.outs") == execution.outs
    assert first.data.tags["dvc.signature"] != second.data.tags["dvc.signature"]


@pytest.mark.slow
@pytest.mark.parametrize("rev", [None, "HEAD", "old"])
def test_every_lock_entry_of_a_revision_is_recorded(
    old_and_new: tuple[Project, str], rev: str | None
) -> None:
    project, old = old_and_new
    workspace = Workspace.find(project.root)
    stages = locked_stages(workspace, old if rev == "old" else rev)
    assert {(one.execution.stage.pipeline, one.execution.stage.name) for one in stages} == set(
        STAGES
    )
    producers = [Runs(project.client).resolve(stage.execution).producer for stage in stages]
    place = 0 if rev == "old" else 1
    assert [run and run.info.run_id for run in producers] == [
        project.runs(one.execution.stage.name, one.execution.stage.pipeline)[place].info.run_id
        for one in stages
    ]


@pytest.mark.slow
def test_a_temporary_experiment_lands_in_the_parents_store(
    new_project: Callable[[], Project],
) -> None:
    project = new_project()
    project.write("dvc.yaml", PIPELINE.partition("  list:")[0])
    project.write("params.yaml", PARAMS)
    project.write("raw/one.txt", "1")
    project.run("dvc", "add", "--quiet", "raw")
    project.commit("a pipeline")
    project.run("dvc", "exp", "run", "--temp", "--name", "other", "--set-param", "b=2.0")

    (run,) = project.runs("plain")
    experiment = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps/**/other")
    entry = project.lock(rev=experiment.stdout.strip())["plain"]
    assert entry["params"]["params.yaml"]["b"] == 2.0
    assert run.data.tags["dvc.signature"] == signature(entry)
    assert tag(run, "dvc.outs") == hashes(entry["outs"])
    assert run.data.tags["dvc.exp.name"] == "other"
    assert run.data.tags["git.commit"] == project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert run.data.params["b"] == "2.0"
    record = project.root / "mlartifacts" / run.info.run_id / "artifacts" / "lineage.json"
    assert record.is_file()
