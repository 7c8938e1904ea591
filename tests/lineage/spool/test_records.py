"""Records as lines and as calls, held against a real store."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.protos.service_pb2 import DeleteTag, LogBatch, LogInputs, LogOutputs, UpdateRun

from lineage.spool.records import CALLS, Record, batch, merged


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> mlflow.MlflowClient:
    folder = tmp_path_factory.mktemp("store")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return mlflow.MlflowClient(uri, registry_uri=uri)


@pytest.fixture
def run_id(client: mlflow.MlflowClient) -> str:
    return client.create_run("0", run_name="first").info.run_id


def send(client: mlflow.MlflowClient, run_id: str, record: Record) -> Run:
    """Send a record as it comes from disk, twice; the run afterwards."""
    again = Record.read(record.line())
    for _ in range(2):
        CALLS[again.kind](client._tracking_client.store, again, run_id, lambda name: name)
    return client.get_run(run_id)


METRICS = [
    Metric("loss", 0.1 + 0.2, 1_700_000_000_123, 7),
    Metric("loss", -3.5e-300, 1_700_000_000_124, 8),
    Metric("is nan", float("nan"), 5, 0),
    Metric("ø/metric", 1.0, 6, -3),
]


def test_metrics_arrive_once_with_their_own_time_and_step(
    client: mlflow.MlflowClient, run_id: str
) -> None:
    send(client, run_id, batch(run_id, METRICS, [], []))
    loss = client.get_metric_history(run_id, "loss")
    assert [(each.value, each.timestamp, each.step) for each in loss] == [
        (0.30000000000000004, 1_700_000_000_123, 7),
        (-3.5e-300, 1_700_000_000_124, 8),
    ]
    (nan,) = client.get_metric_history(run_id, "is nan")
    assert nan.value != nan.value
    assert client.get_metric_history(run_id, "ø/metric")[0].step == -3


def test_what_a_metric_is_of_arrives_with_it(client: mlflow.MlflowClient, run_id: str) -> None:
    model = client.create_logged_model("0", "some").model_id
    dataset = DatasetInput(Dataset("data", "d1", "local", "{}"), [])
    client.log_inputs(run_id, [dataset])
    of = Metric("AP", 0.5, 1, 1, model_id=model, dataset_name="data", dataset_digest="d1")
    send(client, run_id, batch(run_id, [of], [], []))
    (found,) = client.get_logged_model(model).metrics
    assert (found.key, found.value, found.dataset_name) == ("AP", 0.5, "data")


def test_params_and_tags_arrive(client: mlflow.MlflowClient, run_id: str) -> None:
    record = batch(run_id, [], [Param("a", "1"), Param("b", "")], [RunTag("t", "ü\n")])
    run = send(client, run_id, record)
    assert run.data.params == {"a": "1", "b": ""}
    assert run.data.tags["t"] == "ü\n"


def test_a_tag_goes(client: mlflow.MlflowClient, run_id: str) -> None:
    client.set_tag(run_id, "gone", "1")
    run = send(client, run_id, Record.of("untag", run_id, DeleteTag(run_id=run_id, key="gone")))
    assert "gone" not in run.data.tags


def test_status_and_end_arrive(client: mlflow.MlflowClient, run_id: str) -> None:
    run = send(client, run_id, Record.of("info", run_id, UpdateRun(status=3, end_time=99)))
    assert (run.info.status, run.info.end_time, run.info.run_name) == ("FINISHED", 99, "first")
    run = send(client, run_id, Record.of("info", run_id, UpdateRun(status=1, run_name="other")))
    assert (run.info.status, run.info.run_name) == ("RUNNING", "other")


def test_inputs_and_outputs_arrive_once(client: mlflow.MlflowClient, run_id: str) -> None:
    read, made = (client.create_logged_model("0", name).model_id for name in ("read", "made"))
    dataset = DatasetInput(Dataset("data", "d2", "local", "{}"), [InputTag("some", "tag")])
    inputs = LogInputs(datasets=[dataset.to_proto()], models=[LoggedModelInput(read).to_proto()])
    send(client, run_id, Record.of("inputs", run_id, inputs))
    outputs = LogOutputs(models=[LoggedModelOutput(made, 0).to_proto()])
    run = send(client, run_id, Record.of("outputs", run_id, outputs))
    ((arrived,),) = [run.inputs.dataset_inputs]
    assert (arrived.dataset.digest, arrived.tags[0].value) == ("d2", "tag")
    assert [each.model_id for each in run.inputs.model_inputs] == [read]
    assert [each.model_id for each in run.outputs.model_outputs] == [made]


def one(run_id: str = "r", **given: Any) -> Record:
    """A record of one metric, with params and tags by name."""
    params = [Param(key, value) for key, value in given.get("params", {}).items()]
    tags = [RunTag(key, value) for key, value in given.get("tags", {}).items()]
    return batch(run_id, [Metric("m", 1.0, 1, given.get("step", 0))], params, tags)


def test_records_of_one_run_go_in_one_call() -> None:
    records = [one(step=1, tags={"t": "a"}), one(step=2, tags={"t": "b"}), one(step=3)]
    whole, number = merged(records)
    message = whole.message(LogBatch)
    assert number == 3
    assert [each.step for each in message.metrics] == [1, 2, 3]
    assert [(each.key, each.value) for each in message.tags] == [("t", "b")]


@pytest.mark.parametrize(
    "second", [one("other"), Record.of("untag", "r", DeleteTag(run_id="r", key="k"))]
)
def test_what_is_of_another_run_or_kind_keeps_its_turn(second: Record) -> None:
    assert merged([one(), second, one()])[1] == 1
    assert merged([second, one()]) == (second, 1) or merged([second, one()])[1] == 1


@pytest.mark.parametrize(
    ("records", "taken"),
    [
        ([one(step=step) for step in range(1200)], 1000),
        ([one(params={f"p{step}": "1"}) for step in range(120)], 100),
        ([one(tags={f"t{step}": "1"}) for step in range(120)], 100),
        ([one(tags={"same": str(step)}) for step in range(120)], 120),
    ],
)
def test_no_call_is_larger_than_mlflow_takes(records: list[Record], taken: int) -> None:
    assert merged(records)[1] == taken
