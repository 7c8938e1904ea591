"""What answers say of a store in which things were deleted, renamed or made by others."""

import json
import subprocess
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag

from lineage.errors import LineageError
from lineage.join.graph import ExecutionNode, OriginNode
from lineage.tracking.facts import VersionNode
from lineage.verbs.impact import impact
from lineage.verbs.trace import trace
from tests.lineage.conftest import Project
from tests.lineage.graphs import data_of
from tests.lineage.written import OTHER_RUN, asked, digest, entry, recorded, registered, runs_in


def test_a_deleted_run_is_told_and_its_data_still_traced(store: Project) -> None:
    prepare = recorded(store, "prepare", "v1")
    train = recorded(store, "train", "v1")
    version = registered(store, "net", "v1", train)
    store.client.delete_run(train)
    with pytest.raises(LineageError, match=f"mlflow runs restore --run-id {train}"):
        trace(asked(store), train)
    graph = trace(asked(store), version)
    assert runs_in(graph) == {"train": None, "prepare": prepare}
    assert ("data.txt", digest(store, "prepare", "v1")) in data_of(graph)
    assert any(f"{train} that made {version} was deleted" in each for each in graph.warnings)


def test_a_version_whose_run_is_gone_is_traced_by_the_lock(store: Project) -> None:
    version = registered(store, "net", "v1", OTHER_RUN)
    graph = trace(asked(store), version)
    assert runs_in(graph) == {"train": None, "prepare": None}
    assert ("data.txt", digest(store, "prepare", "v1")) in data_of(graph)
    assert any("is gone from MLflow" in each for each in graph.warnings)


def test_a_version_whose_run_and_lock_are_gone_is_traced_by_its_tags(store: Project) -> None:
    made_of = digest(store, "prepare", "v2")
    tags = {"dvc.hash": "9" * 32, "dvc.data": json.dumps({"data.txt": made_of})}
    version = registered(store, "net", "v1", OTHER_RUN, **tags)
    graph = trace(asked(store), version)
    assert ("data.txt", made_of) in data_of(graph)
    assert (f"data.txt@{made_of}", version) in graph.edges
    assert runs_in(graph) == {"prepare": None}
    assert any("is gone from MLflow" in each for each in graph.warnings)
    reached = impact(asked(store), made_of)
    assert version in reached.nodes
    assert any(version in each for each in reached.warnings)


def test_another_repository_in_the_same_store_is_no_part_of_the_answer(store: Project) -> None:
    ours = recorded(store, "train", "v1")
    lock = entry(store, "train", "v1")
    theirs = {
        "dvc.signature": "5" * 32,
        "dvc.deps": json.dumps({"data.txt": "6" * 32}, separators=(",", ":")),
        "dvc.outs": json.dumps({"model.txt": "7" * 32}, separators=(",", ":")),
        "git.repository": "https://example.org/theirs",
    }
    stranger = recorded(store, "train", "v1", **theirs)
    version = registered(store, "theirs", "v1", stranger, **{"dvc.hash": "7" * 32})
    graph = trace(asked(store), "v1")
    assert runs_in(graph) == {"train": ours, "prepare": None}
    reached = impact(asked(store), lock["deps"][0]["md5"])
    assert not [node for node in reached.nodes.values() if isinstance(node, VersionNode)]
    traced = trace(asked(store), version)
    assert runs_in(traced) == {"train": stranger}
    assert data_of(traced) == {("model.txt", "7" * 32), ("data.txt", "6" * 32)}


def test_a_run_that_no_lock_holds_is_traced_to_this_repository(store: Project) -> None:
    stranger = {
        "dvc.signature": "5" * 32,
        "dvc.deps": json.dumps({"raw.txt": "6" * 32}),
        "git.root": "a" * 40,
    }
    recorded(store, "prepare", "v1", **stranger)
    ours = recorded(store, "prepare", "v1")
    train = recorded(store, "train", "v1", **{"dvc.signature": "4" * 32})
    assert runs_in(trace(asked(store), train)) == {"train": train, "prepare": ours}


def test_of_runs_that_did_the_same_that_of_this_repository_is_shown(store: Project) -> None:
    outs = json.dumps({"model.txt": "7" * 32}, separators=(",", ":"))
    unlocked = {"dvc.signature": "4" * 32, "dvc.outs": outs}
    stranger = recorded(store, "train", "v1", **unlocked, **{"git.root": "a" * 40})
    ours = recorded(store, "train", "v1", **unlocked)
    nodes = impact(asked(store), digest(store, "prepare", "v1")).nodes.values()
    found = [node for node in nodes if isinstance(node, ExecutionNode) and node.run]
    assert [(node.run_id, [run.id for run in node.confirmations]) for node in found] == [
        (ours, [stranger])
    ]


def test_a_commit_with_a_conflict_in_its_lock_is_told(
    store: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store.root / 'mlflow.db'}")
    subprocess.run(["git", "clone", "--quiet", store.root, tmp_path / "clone"], check=True)
    clone = Project(tmp_path / "clone", store.environment)
    clone.run("git", "config", "user.email", "who@example.org")
    clone.run("git", "config", "user.name", "Who")
    lock = (clone.root / "dvc.lock").read_text()
    clone.write("dvc.lock", f"<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> other\n")
    clone.commit("a conflict")
    clone.write("dvc.lock", lock)
    clone.commit("solved")
    graph = trace(asked(clone), digest(store, "train", "v2"))
    assert set(runs_in(graph)) == {"train", "prepare"}
    (warning,) = graph.warnings
    assert warning.startswith("at commit ")
    assert "merge conflict" in warning


def fetched(store: Project, run_id: str, source: str) -> None:
    """Give a run a dataset at a URL, by MLflow's client alone."""
    weights = Dataset("Weights.V1", "d" * 36, "http", source)
    context = InputTag("mlflow.data.context", "weights")
    store.client.log_inputs(run_id, [DatasetInput(weights, [context])])


def test_what_a_stage_read_from_a_url_is_an_origin_beside_its_data(store: Project) -> None:
    prepare, train = recorded(store, "prepare", "v1"), recorded(store, "train", "v1")
    fetched(store, train, json.dumps({"url": "https://who:secret@example.org/weights.pth"}))
    graph = trace(asked(store), train)
    assert runs_in(graph) == {"train": train, "prepare": prepare}
    (origin,) = [node for node in graph.nodes.values() if isinstance(node, OriginNode)]
    assert (origin.name, origin.url) == ("Weights.V1", "https://example.org/weights.pth")
    assert origin.checksum == "d" * 36
    (target,) = graph.downstream(origin.id)
    node = graph.nodes[target]
    assert isinstance(node, ExecutionNode)
    assert node.run_id == train


@pytest.mark.parametrize("source", ["{}", "no JSON", '{"url": 5}', '{"url": "weights.pth"}'])
def test_a_source_that_names_no_url_is_passed_over(store: Project, source: str) -> None:
    train = recorded(store, "train", "v1")
    fetched(store, train, source)
    graph = trace(asked(store), train)
    assert not [node for node in graph.nodes.values() if isinstance(node, OriginNode)]
    assert any("Weights.V1" in each and "its source" in each for each in graph.warnings)
