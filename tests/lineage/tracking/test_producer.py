"""From a lock entry to the run that made it, and never to the nearest match."""

import pytest

from lineage.identity import Execution, StageId, signature
from lineage.repository.stage_reader import locked_stages
from lineage.repository.workspace import Workspace
from lineage.tracking.producer import Resolution, Status, resolve
from tests.lineage.conftest import Project, hashes, tag

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
    return resolve(project.client, stage.execution)


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
        assert resolve(project.client, execution).producer.info.run_id == run.info.run_id


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
