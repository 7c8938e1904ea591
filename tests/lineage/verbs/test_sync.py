"""What `lineage sync` writes down: once, with what is known, and nothing that is not."""

import json
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.join.graph import ExecutionNode
from lineage.project import Project as Asked
from lineage.verbs.sync import Synced, sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.lineage.conftest import Ask, Project, hashes, tag
from tests.lineage.trained import begin

pytestmark = pytest.mark.slow

RANDOM = """
stages:
  any:
    cmd: python stage.py text random
    deps: [raw.txt]
    outs: [any.txt: {type: dataset}]
"""


# Sync.


def test_a_shallow_clone_names_no_commit(
    origin: Project, empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = origin.copy(tmp_path / "full")
    for name in ("once more", "and again"):
        full.commit(name)
    clone = Project(tmp_path / "clone", full.environment)
    full.run("git", "clone", "--quiet", "--depth", "1", full.root.as_uri(), str(clone.root))
    shutil.copy(empty_store, clone.root / "mlflow.db")
    done = {}
    for project in (clone, full):
        monkeypatch.chdir(project.root)
        done[project.root] = sync(Asked.find())
        assert set(done[project.root].runs) == {"copy", "train"}
    cut = done[clone.root].warnings
    assert len(cut) == 2
    for stage, warning in zip(("copy", "train"), cut, strict=True):
        assert f"the commit that {stage} ran for is not written down" in warning
        assert "`git fetch --unshallow`" in warning
    assert done[full.root].warnings == ()
    first = full.run("git", "rev-parse", "v2").stdout.strip()
    for stage in ("copy", "train"):
        (run,) = clone.runs(stage)
        assert "git.commit" not in run.data.tags
        assert tag(run, "dvc.outs") == hashes(clone.lock()[stage]["outs"])
        (run,) = full.runs(stage)
        assert run.data.tags["git.commit"] == first


def test_two_syncs_at_once_make_one_run_each(copied: Project) -> None:
    # While one writes to the store others can read it: without that both would not look
    # before either has written. MLflow waits for 5 s and more.
    writer = sqlite3.connect(copied.root / "mlflow.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    both = [
        subprocess.Popen(
            ["lineage", "sync"],
            cwd=copied.root,
            env=copied.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    time.sleep(4.5)
    writer.execute("ROLLBACK")
    writer.close()
    said = [each.communicate(timeout=120) for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert len(copied.runs("copy")) == 1
    assert len(copied.runs("train")) == 1


def test_what_was_written_down_later_accepts_nothing(
    new_project: Callable[[], Project],
    empty_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = new_project()
    monkeypatch.chdir(project.root)
    project.write("dvc.yaml", RANDOM)
    project.write("raw.txt", "raw")
    shutil.copy(empty_store, tmp_path / "other.db")
    other = f"sqlite:///{tmp_path / 'other.db'}"

    def checked() -> set[Check]:
        return {each.check for each in verify(Asked.find()).breaks}

    outs = []
    for _ in range(2):
        project.run("dvc", "repro", "--quiet", "--force", MLFLOW_TRACKING_URI=other)
        project.commit("again")
        assert checked() == {Check.UNRECORDED}
        done: Synced = sync(Asked.find())
        assert (done.runs, done.accepted) == (("any",), ())
        assert checked() == set()
        outs.append(hashes(project.lock()["any"]["outs"]))
    assert outs[0] != outs[1]
    made = project.runs("any")
    assert len({run.data.tags["dvc.signature"] for run in made}) == 1
    assert sorted(map(str, outs)) == sorted(str(tag(run, "dvc.outs")) for run in made)
    # Who has seen it run needs nothing.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", other)
    assert checked() == set()
    assert sync(Asked.find()).runs == ()


FOREACH = """
stages:
  make:
    foreach: ${items}
    do:
      cmd: echo ${item} > ${item}.txt
      deps: [raw.txt]
      outs: ["${item}.txt": {type: dataset}]
"""


# Stages of a list that got shorter.


def test_a_stage_whose_item_is_gone_is_gone(project: Project, ask: Ask) -> None:
    begin(project, FOREACH)
    for name, items in (("v1", "[a, b]"), ("v2", "[a]")):
        project.write("params.yaml", f"tracking: {{experiment: bridge}}\nitems: {items}\n")
        project.run("dvc", "repro")
        project.release(name)
    # DVC leaves the entry where it is.
    assert set(project.lock(rev="v2")) == {"make@a", "make@b"}
    asked = ask(project)
    for rev, stages in (("v2", {"make@a"}), ("v1", {"make@a", "make@b"})):
        nodes = trace(asked, rev).nodes.values()
        found = {each.execution.stage.name for each in nodes if isinstance(each, ExecutionNode)}
        assert found == stages
    assert sync(asked, "v2").runs == ("make@a",)
    assert project.runs("make@b") == []
    (recorded,) = project.runs("make@a")
    assert json.loads(recorded.data.tags["dvc.outs"]) == hashes(
        project.lock(rev="v2")["make@a"]["outs"]
    )
    assert verify(ask(project)).breaks == ()


def test_a_broken_pipeline_file_is_a_sentence(project: Project) -> None:
    project.write("dvc.yaml", "stages: [")
    done = project.run("lineage", "sync", ok=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lineage: dvc.yaml cannot be read")
    assert "Traceback" not in done.stderr
