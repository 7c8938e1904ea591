"""What answers say of a store in which things were deleted, renamed or made by others."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag

from lineage.cli import main
from lineage.errors import LineageError
from lineage.identity import signature
from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.project import Project as Asked
from lineage.tracking.facts import VersionNode
from lineage.verbs.impact import impact
from lineage.verbs.trace import trace
from tests.lineage.conftest import Project, hashes

PIPELINE = """
stages:
  prepare:
    cmd: cp raw.txt data.txt && echo prepared >> data.txt
    deps: [raw.txt]
    outs: [data.txt]
  train:
    cmd: cp data.txt model.txt && echo trained >> model.txt
    deps: [data.txt]
    outs: [model.txt: {type: model}]
"""
OTHER_RUN = "0" * 31 + "f"


@pytest.fixture(scope="module")
def trained(new_project: Callable[[], Project]) -> Project:
    """Two tagged versions of data and model, whose stages need no Python."""
    project = new_project()
    project.write("dvc.yaml", PIPELINE)
    for tag in ("v1", "v2"):
        project.write("raw.txt", tag)
        project.run("dvc", "repro", "--quiet")
        project.commit(tag)
        project.run("git", "tag", tag)
    return project


@pytest.fixture
def store(trained: Project, empty_store: Path) -> Project:
    """The same with a store of the test's own, still empty."""
    (trained.root / "mlflow.db").write_bytes(empty_store.read_bytes())
    return trained


def entry(project: Project, stage: str, rev: str) -> dict:
    return project.lock(rev=rev)[stage]


def recorded(project: Project, stage: str, rev: str, **more: str) -> str:
    """Write the run of a lock entry as a stage would; returns its id."""
    lock = entry(project, stage, rev)
    tags = {
        "dvc.stage": stage,
        "dvc.pipeline": "dvc.yaml",
        "dvc.signature": signature(lock),
        "dvc.deps": json.dumps(hashes(lock["deps"]), sort_keys=True, separators=(",", ":")),
        "dvc.outs": json.dumps(hashes(lock["outs"]), sort_keys=True, separators=(",", ":")),
    }
    client = project.client
    run_id = str(client.create_run("0", tags={**tags, **more}).info.run_id)
    client.set_terminated(run_id)
    return run_id


def registered(project: Project, name: str, rev: str, run_id: str, **tags: str) -> str:
    """Register the model of a revision; returns its REF."""
    client = project.client
    client.create_registered_model(name)
    tags = {"dvc.hash": digest(project, "train", rev), "dvc.run": run_id, **tags}
    version = client.create_model_version(name, "/nowhere", tags=tags)
    client.set_registered_model_alias(name, "best", version.version)
    return f"models:/{name}/{version.version}"


def digest(project: Project, stage: str, rev: str) -> str:
    return str(entry(project, stage, rev)["outs"][0]["md5"])


def asked(project: Project) -> Asked:
    return Asked.find(project.root)


def runs_in(graph: Graph) -> dict[str, str | None]:
    """Stage -> id of its run."""
    return {
        node.execution.stage.name: node.run.id if node.run else None
        for node in graph.nodes.values()
        if isinstance(node, ExecutionNode)
    }


def data_in(graph: Graph) -> set[tuple[str, str]]:
    return {(node.path, node.hash) for node in graph.nodes.values() if isinstance(node, DataNode)}


@pytest.mark.parametrize(
    ("ref", "told"),
    [
        ("models:/nte@best", "no model 'nte' is registered in this tracking store; registered are"),
        ("models:/net@bets", "net has no such version or alias; it has 1 @best."),
        ("models:/net/7", "net has no such version or alias; it has 1 @best."),
        ("models:/net/one", "net has no such version or alias; it has 1 @best."),
        ("models:/@best", "names no model version"),
        ("models:/", "names no model version"),
        ("models:/m-" + "0" * 32, "this tracking store has no such model"),
        ("data.txt@vv2", "'vv2' is no git revision; known are"),
        ("dta.txt@v2", "no data is tracked as dta.txt at v2; tracked there: data.txt"),
        ("data.txt/part@v2", "is not tracked by itself at v2"),
        ("../outside.txt@v2", "no data is tracked as ../outside.txt at v2"),
        ("v1..v2", "is nothing that git, DVC or this tracking store knows"),
        (OTHER_RUN, "is nothing that git, DVC or this tracking store knows"),
        ("", "is nothing that git, DVC or this tracking store knows"),
        ("'; DROP", "is nothing that git, DVC or this tracking store knows"),
        ("@", None),
        ("HEAD~1", None),
        ("v2^{}", None),
        ("models:/net@best", None),
    ],
)
@pytest.mark.parametrize("verb", ["trace", "impact", "show"])
def test_a_typo_is_one_sentence(
    store: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    ref: str,
    told: str | None,
) -> None:
    registered(store, "net", "v1", recorded(store, "train", "v1"))
    monkeypatch.chdir(store.root)
    code = main([verb, ref])
    said = capsys.readouterr().err
    assert code == (1 if told else 0)
    if told:
        assert told in said
        assert said.startswith("lineage: ")
        assert said.count("\n") == 1


@pytest.mark.parametrize("verb", ["trace", "impact", "show", "checkout", "diff", "graph"])
def test_a_prefix_of_two_hashes_lists_both(
    store: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    verb: str,
) -> None:
    one, other = (f"abcd{number:028}" for number in (1, 2))
    lock = (store.root / "dvc.lock").read_text()
    for stage, made in (("prepare", one), ("train", other)):
        lock = lock.replace(store.lock()[stage]["outs"][0]["md5"], made)
    before = (store.root / "dvc.lock").read_text()
    store.write("dvc.lock", lock)
    monkeypatch.chdir(store.root)
    more = {"checkout": ["nowhere"], "diff": ["v1"]}.get(verb, [])
    try:
        assert main([verb, "abcd", *more]) == 1
    finally:
        store.write("dvc.lock", before)
    said = capsys.readouterr().err
    assert "abcd may mean 2 things" in said
    assert one in said
    assert other in said
    assert said.count("\n") == 1
    assert not (store.root / "nowhere").exists()


def test_a_deleted_run_is_told_and_its_data_still_traced(store: Project) -> None:
    prepare = recorded(store, "prepare", "v1")
    train = recorded(store, "train", "v1")
    version = registered(store, "net", "v1", train)
    store.client.delete_run(train)
    with pytest.raises(LineageError, match=f"mlflow runs restore --run-id {train}"):
        trace(asked(store), train)
    graph = trace(asked(store), version)
    assert runs_in(graph) == {"train": None, "prepare": prepare}
    assert ("data.txt", digest(store, "prepare", "v1")) in data_in(graph)
    assert any(f"{train} that made {version} was deleted" in each for each in graph.warnings)


def test_a_version_whose_run_is_gone_is_traced_by_the_lock(store: Project) -> None:
    version = registered(store, "net", "v1", OTHER_RUN)
    graph = trace(asked(store), version)
    assert runs_in(graph) == {"train": None, "prepare": None}
    assert ("data.txt", digest(store, "prepare", "v1")) in data_in(graph)
    assert any("is gone from MLflow" in each for each in graph.warnings)


def test_a_version_whose_run_and_lock_are_gone_is_traced_by_its_tags(store: Project) -> None:
    made_of = digest(store, "prepare", "v2")
    tags = {"dvc.hash": "9" * 32, "dvc.data": json.dumps({"data.txt": made_of})}
    version = registered(store, "net", "v1", OTHER_RUN, **tags)
    graph = trace(asked(store), version)
    assert ("data.txt", made_of) in data_in(graph)
    assert (f"data.txt@{made_of}", version) in graph.edges
    assert runs_in(graph) == {"prepare": None}
    assert any("is gone from MLflow" in each for each in graph.warnings)
    reached = impact(asked(store), made_of)
    assert version in reached.nodes
    assert any(version in each for each in reached.warnings)


def test_who_wrote_bytes_is_not_downstream_of_them(store: Project) -> None:
    made = digest(store, "prepare", "v1")
    writer = recorded(store, "prepare", "v1")
    reader = recorded(store, "train", "v1")
    named(store, writer, made, "output")
    named(store, reader, made, "training")
    script = named(store, script_run(store), made, "evaluation")
    author = named(store, script_run(store), made, "output")
    graph = impact(asked(store), made)
    found = {
        node.run.id for node in graph.nodes.values() if isinstance(node, ExecutionNode) and node.run
    }
    assert found == {reader, script}
    assert author not in found


def script_run(project: Project) -> str:
    run_id = str(project.client.create_run("0").info.run_id)
    project.client.set_terminated(run_id)
    return run_id


def named(project: Project, run_id: str, made: str, context: str) -> str:
    """Log a dataset of ``data.txt`` with a context, as ``mlflow.log_input`` does."""
    dataset = Dataset("data.txt", made, "local", json.dumps({"uri": "data.txt"}))
    tags = [InputTag("mlflow.data.context", context)]
    project.client.log_inputs(run_id, [DatasetInput(dataset, tags)])
    return run_id


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
    assert data_in(traced) == {("model.txt", "7" * 32), ("data.txt", "6" * 32)}


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
