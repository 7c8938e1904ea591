"""DVC's ways of running stages, and that the lineage of each is right.

Stages of a list, of a grid and of a folder of their own; experiments in DVC's queue, two at
once. Expected is what the text of dvc.lock and the tags that the MLflow client gives say.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

from lineage.join.graph import DataNode
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from lineage.verbs.report import report
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.lineage.conftest import SHORT_LIVED, Project, hashes, tag
from tests.lineage.graphs import runs_of

pytestmark = pytest.mark.slow

WORK = """
import sys, time
from pathlib import Path
import lineage

text, top = sys.argv[1:]
with lineage.stage() as run:
    if text == "slowly":
        time.sleep(4)
    for path in run.outs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + Path(top, "params.yaml").read_text())
"""
PIPELINE = """
stages:
  prepare:
    cmd: python work.py rows .
    deps: [raw.txt]
    outs: [data/rows.txt: {type: dataset}]
  part:
    foreach: [a, b]
    do:
      cmd: python work.py ${item} .
      deps: [data/rows.txt]
      outs: ["parts/${item}.txt": {type: dataset}]
  grid:
    matrix: {rate: [1, 2], word: [x]}
    cmd: python work.py ${item.rate}${item.word} .
    deps: [parts/a.txt]
    outs: ["grid/${item.rate}.txt": {type: model}]
  slow:
    cmd: python work.py slowly .
    deps: [data/rows.txt]
    params: [train]
    outs: [slow.txt: {type: model}]
"""
SUBDIRECTORY = """
stages:
  prepare:
    cmd: python ../work.py score ..
    deps: [../parts/b.txt]
    outs: [score.txt: {type: report}]
"""
QUEUED = ("first-in-queue", "second-in-queue")


@pytest.fixture(scope="module")
def ran(new_project: Callable[[], Project]) -> Project:
    """Every stage of both pipelines ran once, and is committed."""
    project = new_project()
    project.write("work.py", SHORT_LIVED + WORK)
    project.write("dvc.yaml", PIPELINE)
    project.write("sub/dvc.yaml", SUBDIRECTORY)
    project.write("params.yaml", "tracking: {experiment: ways}\ntrain: {epochs: 1}\n")
    project.write("raw.txt", "raw")
    project.commit("code")
    project.run("dvc", "repro", "--all-pipelines")
    project.commit("results")
    return project


@pytest.fixture(scope="module")
def queued(ran: Project) -> Project:
    """Two experiments went through DVC's queue, with two workers."""
    for epochs, name in enumerate(QUEUED, 2):
        ran.run("dvc", "exp", "run", "--queue", "--name", name, "-S", f"train.epochs={epochs}")
    ran.run("dvc", "queue", "start", "--jobs", "2")
    try:
        for _ in range(120):
            status = ran.run("dvc", "queue", "status").stdout
            if not any(word in status for word in ("Queued", "Running")):
                break
            time.sleep(2)  # asking takes half a second of a processor that the queue needs
        assert status.count("Success") == 2, (
            status + ran.run("dvc", "queue", "logs", QUEUED[0], ok=False).stdout
        )
    finally:
        ran.run("dvc", "queue", "stop", "--kill", ok=False)
    return ran


@pytest.fixture
def asked(ran: Project, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The project, as who works in it asks."""
    monkeypatch.chdir(ran.root)
    return Asked.find()


def all_runs(project: Project) -> list[Run]:
    client = project.client
    experiment = client.get_experiment_by_name("ways").experiment_id
    return list(client.search_runs([experiment], order_by=["attributes.start_time ASC"]))


def upstream(project: Project, run: Run) -> set[str]:
    """Ids of a run and of all runs that wrote what it read, directly or not."""
    found, waiting = set(), [run]
    while waiting:
        each = waiting.pop()
        found.add(each.info.run_id)
        read = tag(each, "dvc.deps").items()
        waiting += [
            other
            for other in all_runs(project)
            if other.info.run_id not in found and read & tag(other, "dvc.outs").items()
        ]
    return found


@pytest.mark.parametrize(
    ("path", "pipeline", "stage"),
    [
        ("parts/b.txt", "dvc.yaml", "part@b"),
        ("grid/2.txt", "dvc.yaml", "grid@2-x"),
        ("sub/score.txt", "sub/dvc.yaml", "prepare"),
    ],
)
def test_trace_of_a_list_a_grid_and_a_folder(
    ran: Project, asked: Asked, path: str, pipeline: str, stage: str
) -> None:
    (run,) = [run for run in ran.runs(stage, pipeline) if "dvc.exp.name" not in run.data.tags]
    graph = trace(asked, path)
    assert runs_of(graph) == upstream(ran, run)
    assert len(runs_of(graph)) == 3 - (stage == "part@b")
    data = {(node.path, node.hash) for node in graph.nodes.values() if isinstance(node, DataNode)}
    folder = pipeline.rpartition("/")[0] or "."
    entry = ran.lock(folder, rev="HEAD")[stage]
    (out,) = hashes(entry["outs"]).values()
    assert (path, out) in data


def test_impact_goes_through_all_of_them(ran: Project, asked: Asked) -> None:
    (rows,) = hashes(ran.lock(rev="HEAD")["prepare"]["outs"]).values()
    (prepare,) = ran.runs("prepare")
    reached = {
        run.info.run_id
        for run in all_runs(ran)
        if prepare.info.run_id in upstream(ran, run) - {run.info.run_id}
    }
    assert runs_of(impact(asked, rows)) == reached
    stages = {run.data.tags["dvc.stage"] for run in all_runs(ran) if run.info.run_id in reached}
    assert stages == {"part@a", "part@b", "grid@1-x", "grid@2-x", "slow", "prepare"}


def test_two_stages_of_one_name_are_two(ran: Project, asked: Asked) -> None:
    assert verify(asked, "HEAD").breaks == ()
    said = report(asked, "HEAD")
    assert "`prepare`" in said
    assert "`sub/dvc.yaml:prepare`" in said


def test_experiments_in_the_queue_have_their_own_lineage(queued: Project, asked: Asked) -> None:
    both = [run for run in queued.runs("slow") if run.data.tags.get("dvc.exp.name") in QUEUED]
    assert sorted(run.data.tags["dvc.exp.name"] for run in both) == sorted(QUEUED)
    assert {run.info.status for run in both} == {"FINISHED"}
    # They did run at once, in one store.
    for before, after in pairwise(sorted(both, key=lambda run: run.info.start_time)):
        assert after.info.start_time < before.info.end_time
    references = queued.run("git", "for-each-ref", "--format=%(refname)").stdout.split()
    head = queued.run("git", "rev-parse", "HEAD").stdout.strip()
    for run in both:
        name = run.data.tags["dvc.exp.name"]
        (reference,) = [each for each in references if each.endswith(f"/{name}")]
        locked = YAML(typ="safe").load(queued.run("git", "show", f"{reference}:dvc.lock").stdout)
        assert tag(run, "dvc.outs") == hashes(locked["stages"]["slow"]["outs"])
        assert run.data.tags["git.commit"] == head
        assert runs_of(trace(asked, f"slow.txt@{name}")) == upstream(queued, run)
        assert verify(asked, name).breaks == ()
