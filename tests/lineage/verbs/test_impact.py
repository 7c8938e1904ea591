"""Who is reached by bytes, by whatever name they were read."""

import json

import pytest
from mlflow.entities import Dataset, DatasetInput, InputTag

from lineage.join.graph import ExecutionNode
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from tests.lineage.conftest import Project, tag
from tests.lineage.graphs import runs_of
from tests.lineage.written import asked, digest, recorded


def test_impact_of_a_file_that_git_keeps_reaches_who_read_it(
    registered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(registered.root)
    (copy,), (train,) = registered.runs("copy"), registered.runs("train")
    assert tag(copy, "dvc.deps").keys() == {"raw.txt"}
    assert runs_of(impact(Asked.find(), "raw.txt")) == {copy.info.run_id, train.info.run_id}


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
