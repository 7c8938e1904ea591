"""What is said of a model version: by whom, once, and by the newest revision last."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities.model_registry import ModelVersion

from lineage.project import Project as Asked
from lineage.verbs.sync import sync
from tests.conftest import Once
from tests.lineage.conftest import Project, hashes

pytestmark = pytest.mark.slow

JUDGED = """
stages:
  train:
    cmd: cp data.txt model.safetensors
    deps: [data.txt, train.txt]
    outs: [model.safetensors: {type: model}]
  register:
    cmd: cp decision.json register.json
    deps: [model.safetensors, decision.json]
    outs: [register.json: {type: report, labels: [registration]}]
"""


def decide(project: Project, verdict: str, ap: float, day: str = "day1") -> None:
    """Write what the register stage will say of the model, whose bytes are ``weights``."""
    decision = {
        "model_name": "toy",
        "model_path": "model.safetensors",
        "model_digest": hashes(project.lock()["train"]["outs"])["model.safetensors"],
        "evaluation_path": "val.txt",
        "evaluation_digest": {"day1": "1" * 32, "day2": "2" * 32}[day],
        "metrics": {"AP": ap},
        "thresholds": {"AP": 0.5},
        "verdict": verdict,
        "reasons": [],
    }
    project.write("decision.json", json.dumps(decision))


def begin(project: Project) -> Project:
    project.write("dvc.yaml", JUDGED)
    project.write("data.txt", "weights")
    project.write("train.txt", "as it was")
    project.run("dvc", "repro", "--quiet", "train")
    return project


def judged(project: Project, name: str, *decision: object) -> str:
    """Make a revision in which the model is judged so; returns its commit."""
    decide(project, *decision)
    project.run("dvc", "repro", "--quiet")
    return project.release(name)


@pytest.fixture(scope="module")
def history(once: Once, blank: Project) -> Project:
    """One model: accepted, rejected, then made again by other code and judged on other data."""

    def make(folder: Path) -> Project:
        project = begin(blank.copy(folder / "project"))
        judged(project, "accepted", "accepted", 0.6)
        judged(project, "rejected", "rejected", 0.4)
        project.write("train.txt", "with a comment")
        judged(project, "again", "rejected", 0.3, "day2")
        return project

    return once("judged", make)


@pytest.fixture
def project(history: Project, tmp_path: Path) -> Project:
    """The test's own copy, with a store that is still empty."""
    return history.copy(tmp_path / "project")


Synced = Callable[..., ModelVersion]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Synced:
    """Sync revisions one after the other; returns the version that there is then."""

    def run(project: Project, *revs: str | None) -> ModelVersion:
        monkeypatch.chdir(project.root)
        for rev in revs:
            sync(Asked.find(), rev)
        return version(project)

    return run


def version(project: Project, number: str = "1") -> ModelVersion:
    return project.client.get_model_version("toy", number)


ORIGIN = ("dvc.run", "dvc.signature", "dvc.data", "git.commit", "git.root", "lineage.status")


def origin(version: ModelVersion) -> dict[str, str | None]:
    return {name: version.tags.get(name) for name in ORIGIN}


def evaluations(version: ModelVersion) -> dict[str, dict]:
    return {
        name: json.loads(value)
        for name, value in version.tags.items()
        if name.startswith("evaluation.")
    }


@pytest.mark.parametrize(
    "order", [("again", "rejected", "accepted"), ("accepted", "again", "rejected")]
)
def test_in_whatever_order_revisions_are_synced_the_newest_has_the_last_word(
    order: tuple[str, ...], project: Project, synced: Synced
) -> None:
    found = synced(project, *order)
    assert found.tags["verdict"] == "rejected"
    assert found.tags["dvc.evaluation"] == "2" * 32
    # Of two evaluations on the same data, the newer one; one on other data beside it.
    assert evaluations(found) == {
        f"evaluation.{'1' * 32}": {"AP": 0.4},
        f"evaluation.{'2' * 32}": {"AP": 0.3},
    }
    assert len(project.client.search_model_versions("name = 'toy'")) == 1


@pytest.mark.parametrize("first", ["accepted", "again"])
def test_what_made_a_version_is_written_once(first: str, project: Project, synced: Synced) -> None:
    before = origin(synced(project, first))
    commit = project.run("git", "rev-parse", first).stdout.strip()
    assert before["git.commit"] == commit
    assert before["dvc.run"] in {run.info.run_id for run in project.runs("train")}
    assert origin(synced(project, "accepted", "rejected", "again", None)) == before


def test_a_checked_out_old_revision_says_nothing_new(project: Project, synced: Synced) -> None:
    synced(project, "again")
    project.run("git", "checkout", "--quiet", "accepted")
    project.run("dvc", "checkout", "--quiet")
    assert synced(project, None).tags["verdict"] == "rejected"


def test_what_the_working_tree_says_is_the_newest(project: Project, synced: Synced) -> None:
    synced(project, "again")
    # The first revision's word again, as something new.
    project.run("git", "checkout", "--quiet", "accepted", "--", "decision.json")
    project.run("dvc", "repro", "--quiet")
    assert synced(project, None).tags["verdict"] == "accepted"
    assert synced(project, "again").tags["verdict"] == "accepted"


def test_what_a_working_tree_says_twice_is_said_once(project: Project, synced: Synced) -> None:
    decide(project, "accepted", 0.7)
    project.run("dvc", "repro", "--quiet")
    once = synced(project, None).tags
    assert synced(project, None).tags == once


def test_a_verdict_of_a_revision_that_this_clone_lacks_stays(
    history: Project, project: Project, synced: Synced, tmp_path: Path
) -> None:
    newest = synced(project, "again").tags
    assert newest["verdict"] == "rejected"
    behind = history.copy(tmp_path / "behind")
    behind.run("git", "reset", "--hard", "--quiet", "rejected")
    behind.run("git", "tag", "--delete", "again")
    shutil.copy(project.root / "mlflow.db", behind.root)
    behind.run("dvc", "checkout", "--quiet")
    found = synced(behind, "accepted").tags
    assert {**newest, **found, "dvc.said": ""} == {**found, "dvc.said": ""}


def test_the_candidate_stays_where_a_newer_revision_put_it(
    project: Project, synced: Synced
) -> None:
    project.write("data.txt", "other weights")
    project.run("dvc", "repro", "--quiet", "train")
    judged(project, "better", "accepted", 0.9)
    synced(project, "better", "accepted")
    newest = project.client.get_model_version_by_alias("toy", "candidate")
    assert newest.tags["dvc.hash"] == hashes(project.lock()["train"]["outs"])["model.safetensors"]
    assert str(newest.version) == "1"
    project.run("git", "checkout", "--quiet", "rejected")
    project.run("dvc", "checkout", "--quiet")
    synced(project, None)
    candidate = project.client.get_model_version_by_alias("toy", "candidate")
    assert candidate.version == newest.version


def test_another_repository_with_the_same_bytes_has_its_own_version(
    project: Project,
    blank: Project,
    synced: Synced,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = synced(project, "again").tags
    theirs = begin(blank.copy(tmp_path / "theirs"))
    judged(theirs, "first", "accepted", 0.8)
    monkeypatch.chdir(theirs.root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root / 'mlflow.db'}")
    sync(Asked.find())
    sync(Asked.find())
    assert version(project).tags == before
    second = version(project, "2")
    assert second.tags["dvc.hash"] == before["dvc.hash"]
    assert second.tags["verdict"] == "accepted"
    assert second.tags["git.root"] != before["git.root"]
    assert second.tags["dvc.run"] != before["dvc.run"]
    run = project.client.get_run(second.tags["dvc.run"])
    assert run.data.tags["git.root"] == second.tags["git.root"]
    assert len(project.client.search_model_versions("name = 'toy'")) == 2
