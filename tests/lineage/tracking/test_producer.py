"""From a lock entry to the run that made it, and never to the nearest match."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run, RunData, RunInfo, RunTag

from lineage.identity import Execution, StageId, signature
from lineage.repository.whose import Whose
from lineage.repository.workspace import Workspace
from lineage.tracking.producer import Resolution, Status, find_producer
from lineage.tracking.runs import Runs
from lineage.tracking.tag_values import hashes_tag
from tests.lineage.by_dvc import locked_stages
from tests.lineage.conftest import Project, hashes, tag

ONE_STAGE = """
stages:
  make:
    cmd: python stage.py text{extras}
    deps: [stage.py, raw]
    outs: [out.txt]
"""


def made(project: Project, extras: str = "") -> Project:
    project.write("dvc.yaml", ONE_STAGE.format(extras=extras))
    project.write("raw", "raw data")
    project.run("dvc", "add", "--quiet", "raw")
    project.commit("a stage")
    project.run("dvc", "repro", "--quiet")
    return project


@pytest.fixture(scope="module")
def ran_once(new_project: Callable[[], Project]) -> Project:
    """A stage ran once, which writes the same bytes each time."""
    return made(new_project())


@pytest.fixture
def ran(ran_once: Project, tmp_path: Path) -> Project:
    """The test's own copy of it."""
    return ran_once.copy(tmp_path / "project")


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
def test_a_rerun_with_the_same_bytes_confirms_the_first(ran: Project) -> None:
    ran.run("dvc", "repro", "--quiet", "--force")
    first, second = ran.runs("make")
    found = resolved(ran)
    assert found.status is Status.RECORDED
    assert found.producer.info.run_id == first.info.run_id
    assert [run.info.run_id for run in found.confirmations] == [second.info.run_id]


@pytest.mark.slow
def test_outputs_that_dvc_commit_accepted_have_no_run(ran: Project) -> None:
    (ran.root / "out.txt").unlink()
    ran.write("out.txt", "written by hand")
    ran.run("dvc", "commit", "--force", "--quiet")
    assert resolved(ran) == Resolution(Status.ACCEPTED)


@pytest.mark.slow
def test_a_store_that_never_saw_it_says_so(ran: Project, empty_store: Path) -> None:
    (ran.root / "mlflow.db").write_bytes(empty_store.read_bytes())
    assert resolved(ran) == Resolution(Status.UNRECORDED)


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


# The same decision, on values.

WROTE = {"out.txt": "a" * 32}
EXECUTION = Execution(StageId("dvc.yaml", "make"), "5" * 32, {"raw": "b" * 32}, WROTE)


def run(
    run_id: str,
    outs: dict[str, str] | None = WROTE,
    status: str = "FINISHED",
    at: int = 0,
    **tags: str,
) -> Run:
    """A run of the execution's stage that wrote these outputs; further tags with ``_`` for dots."""
    every = {"dvc.stage": "make", "dvc.pipeline": "dvc.yaml", "dvc.signature": "5" * 32}
    every |= {} if outs is None else {"dvc.outs": hashes_tag(outs)}
    every |= {name.replace("_", "."): value for name, value in tags.items()}
    info = RunInfo(run_id, "0", "who", status, at, at + 1, "active")
    return Run(info, RunData(tags=[RunTag(*each) for each in every.items()]))


def found(*runs: Run, execution: Execution = EXECUTION) -> tuple[Status, str | None, list[str]]:
    """Status, producer and confirmations, of a store that holds these runs."""

    def search(tag: str) -> Iterator[Run]:
        return (each for each in runs if each.data.tags.get(tag) == execution.signature)

    def is_foreign(run: Run) -> bool:
        return run.data.tags.get("git.repository") == "theirs"

    answer = find_producer(execution, search, is_foreign)
    producer = answer.producer.info.run_id if answer.producer else None
    return answer.status, producer, [each.info.run_id for each in answer.confirmations]


OTHER = {"out.txt": "c" * 32}
CHANGED = {"dvc_signature": "6" * 32, "dvc_signature_after": "5" * 32, "dvc_changed": "{}"}


@pytest.mark.parametrize(
    ("runs", "answer"),
    [
        ([], (Status.UNRECORDED, None, [])),
        ([run("a")], (Status.RECORDED, "a", [])),
        ([run("b", at=2), run("a", at=1)], (Status.RECORDED, "a", ["b"])),
        ([run("b"), run("a")], (Status.RECORDED, "a", ["b"])),
        ([run("a", git_repository="theirs"), run("b", at=9)], (Status.RECORDED, "b", ["a"])),
        ([run("a", git_repository="theirs")], (Status.RECORDED, "a", [])),
        ([run("a", status="FAILED"), run("b", status="RUNNING")], (Status.UNRECORDED, None, [])),
        ([run("a", dvc_stage="other")], (Status.UNRECORDED, None, [])),
        ([run("a", dvc_pipeline="sub/dvc.yaml")], (Status.UNRECORDED, None, [])),
        ([run("a", dvc_signature="6" * 32)], (Status.UNRECORDED, None, [])),
        ([run("a", OTHER)], (Status.ACCEPTED, None, [])),
        ([run("a", None)], (Status.ACCEPTED, None, [])),
        ([run("a", OTHER), run("b")], (Status.RECORDED, "b", [])),
        ([run("a", OTHER, lineage_backfilled="true")], (Status.UNRECORDED, None, [])),
        ([run("a", lineage_backfilled="true")], (Status.RECORDED, "a", [])),
        ([run("a", **CHANGED)], (Status.CHANGED, "a", [])),
        ([run("a", **CHANGED), run("b", at=9)], (Status.RECORDED, "b", [])),
        ([run("a", dvc_changed="{}"), run("b", at=9)], (Status.RECORDED, "b", [])),
        ([run("a", dvc_changed="{}")], (Status.CHANGED, "a", [])),
        ([run("a", OTHER, **CHANGED)], (Status.UNRECORDED, None, [])),
        ([run("b", at=1, **CHANGED), run("a", **CHANGED)], (Status.CHANGED, "a", ["b"])),
    ],
    ids=[
        "no run at all",
        "the only one",
        "the oldest of several",
        "of the same moment, by id",
        "another repository's comes last",
        "another repository's, if there is no other",
        "one that failed, one that runs",
        "another stage",
        "another pipeline's stage of that name",
        "another signature",
        "other outputs",
        "no outputs",
        "other outputs, and these",
        "other outputs, written down later",
        "written down later",
        "changed while it ran",
        "changed, and one that did not",
        "changed to the same signature, and one that did not",
        "changed to the same signature",
        "changed, and other outputs",
        "the oldest of those that changed",
    ],
)
def test_which_run_made_it(runs: list[Run], answer: tuple[Status, str | None, list[str]]) -> None:
    assert found(*runs) == answer


def test_a_stage_without_outputs_needs_no_tag_of_them() -> None:
    nothing = Execution(EXECUTION.stage, EXECUTION.signature, EXECUTION.deps, {})
    assert found(run("a", None), execution=nothing) == (Status.RECORDED, "a", [])
    assert found(run("a", {}), execution=nothing) == (Status.RECORDED, "a", [])
    assert found(run("a"), execution=nothing) == (Status.ACCEPTED, None, [])


# Runs of which no lock holds what they read.

LATE = {"dvc_signature": "6" * 32}


@pytest.mark.parametrize(
    ("stray", "expected"),
    [
        (run("late", **LATE), (Status.CHANGED, "late", [])),
        (run("late", OTHER, **LATE), (Status.UNRECORDED, None, [])),
        (run("late", status="FAILED", **LATE), (Status.UNRECORDED, None, [])),
        (run("late", dvc_stage="other", **LATE), (Status.UNRECORDED, None, [])),
        (run("late", lineage_backfilled="true", **LATE), (Status.UNRECORDED, None, [])),
    ],
    ids=["the same outputs", "others", "failed", "of another stage", "written down later"],
)
def test_a_run_that_read_something_else_explains_the_lock(
    stray: Run, expected: tuple[Status, str | None, list[str]]
) -> None:
    answer = find_producer(EXECUTION, lambda _tag: (), lambda _run: False, lambda: [stray])
    producer = answer.producer.info.run_id if answer.producer else None
    assert (answer.status, producer, list(answer.confirmations)) == expected


def test_a_strangers_run_makes_no_lock() -> None:
    answer = find_producer(EXECUTION, lambda _tag: [run("theirs")], lambda _run: Whose.STRANGERS)
    assert answer == Resolution(Status.UNRECORDED)
