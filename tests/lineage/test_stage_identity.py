"""A signature from inside a stage is the one from ``dvc.lock``, at any revision."""

from collections.abc import Callable

import pytest

from lineage.identity import Execution, StageId, signature
from lineage.repository.stage_reader import locked_stages
from lineage.repository.workspace import Workspace
from lineage.tracking.producer import Resolution, Status
from lineage.tracking.runs import Runs
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
    foreach: [p, q]
    do:
      cmd: python stage.py ${item}
      deps: [stage.py]
      outs: ["out/each-${item}.txt"]
  grid:
    matrix: {x: [1, 2]}
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
    ("dvc.yaml", name)
    for name in ["plain", "list", "wdir", "each@p", "each@q", "grid@1", "grid@2", "templated"]
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


ONE_STAGE = """
stages:
  make:
    cmd: python stage.py text{extras}
    deps: [stage.py, raw]
    outs: [out.txt]
"""


def made(project: Project, extras: str = "") -> None:
    project.write("dvc.yaml", ONE_STAGE.format(extras=extras))
    project.write("raw", "raw data")
    project.run("dvc", "add", "--quiet", "raw")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")


def resolved(project: Project) -> Resolution:
    (stage,) = locked_stages(Workspace.find(project.root))
    return Runs(project.client).resolve(stage.execution)


@pytest.mark.slow
def test_a_forced_rerun_with_other_bytes_is_another_execution(project: Project) -> None:
    made(project, " random")
    first_lock = project.lock()["make"]
    project.run("dvc", "repro", "--quiet", "--force")
    second_lock = project.lock()["make"]
    first, second = project.runs("make")

    assert first.data.tags["dvc.signature"] == second.data.tags["dvc.signature"]
    assert hashes(first_lock["outs"]) != hashes(second_lock["outs"])
    found = resolved(project)
    assert (found.status, found.producer.info.run_id) == (Status.RECORDED, second.info.run_id)
    for run, entry in [(first, first_lock), (second, second_lock)]:
        execution = Execution.from_lock_entry(StageId("dvc.yaml", "make"), entry, ".")
        assert Runs(project.client).resolve(execution).producer.info.run_id == run.info.run_id


@pytest.mark.slow
def test_a_rerun_with_the_same_bytes_confirms_the_first(project: Project) -> None:
    made(project)
    project.run("dvc", "repro", "--quiet", "--force")
    first, second = project.runs("make")
    found = resolved(project)
    assert found.status is Status.RECORDED
    assert found.producer.info.run_id == first.info.run_id
    assert [run.info.run_id for run in found.confirmations] == [second.info.run_id]


@pytest.mark.slow
def test_outputs_that_dvc_commit_accepted_have_no_run(project: Project) -> None:
    made(project)
    (project.root / "out.txt").unlink()
    project.write("out.txt", "written by hand")
    project.run("dvc", "commit", "--force", "--quiet")
    assert resolved(project) == Resolution(Status.ACCEPTED)


@pytest.mark.slow
def test_a_store_that_never_saw_it_says_so(project: Project, empty_store: object) -> None:
    made(project)
    (project.root / "mlflow.db").write_bytes(empty_store.read_bytes())
    assert resolved(project) == Resolution(Status.UNRECORDED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "text", "name"),
    [("helper.txt", "other", "helper.txt"), ("params.toml", "b=2", "params.toml:b")],
    ids=["code", "a param"],
)
def test_what_was_edited_while_the_stage_ran_is_told(
    project: Project, path: str, text: str, name: str
) -> None:
    project.write("helper.txt", "as it was")
    project.write("params.toml", "b=1")
    stage = ONE_STAGE.format(extras=f' "edit={path}:{text}"')
    project.write(
        "dvc.yaml", stage.replace("raw]", "helper.txt]\n    params: [{params.toml: [b]}]")
    )
    project.commit("a stage whose inputs change under it")
    said = project.run("dvc", "repro").stderr

    (run,) = project.runs("make")
    entry = project.lock()["make"]
    assert f"{name} changed while stage make ran" in said
    assert list(tag(run, "dvc.changed")) == [name]
    assert run.data.tags["dvc.signature"] != signature(entry)
    assert run.data.tags["dvc.signature.after"] == signature(entry)
    found = resolved(project)
    assert (found.status, found.producer.info.run_id) == (Status.CHANGED, run.info.run_id)
