"""A run as it will be: what the mirror says, a real store says after the same calls."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from lineage.spool.mirror import Mirror


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> mlflow.MlflowClient:
    folder = tmp_path_factory.mktemp("store")
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    return mlflow.MlflowClient(uri, registry_uri=uri)


def seen(run: Run) -> dict[str, Any]:
    """What a reader sees of a run, latest steps of metrics with it."""
    metrics = {each.key: (each.step, each.value) for each in run.data.to_proto().metrics}
    datasets = [each.dataset.digest for each in run.inputs.dataset_inputs]
    info = run.info
    about = (info.run_id, info.status, info.end_time, info.run_name, info.artifact_uri)
    return {
        "about": about,
        "metrics": metrics,
        "params": run.data.params,
        "tags": run.data.tags,
        "datasets": datasets,
    }


def test_it_says_what_the_store_will_say(client: mlflow.MlflowClient) -> None:
    run = client.create_run("0", run_name="some")
    run_id = run.info.run_id
    client.log_metric(run_id, "before", 1.0, step=4)
    mirror, store = Mirror(client.get_run(run_id)), client._tracking_client.store
    batches: list[tuple[list[Metric], list[Param], list[RunTag]]] = [
        ([Metric("loss", 3.0, 10, 5), Metric("before", 0.0, 9, 2)], [Param("p", "1")], []),
        ([Metric("loss", 2.0, 20, 5), Metric("loss", 9.0, 30, 4)], [], [RunTag("t", "a")]),
        ([Metric("before", 7.0, 9, 9)], [Param("p", "1")], [RunTag("t", "b")]),
    ]
    dataset = DatasetInput(Dataset("data", "d", "local", "{}"), [])
    for metrics, params, tags in batches:
        store.log_batch(run_id, metrics, params, tags)
        mirror.take(metrics, params, tags)
    for _ in range(2):
        store.log_inputs(run_id, [dataset])
        mirror.link(datasets=[dataset])
    store.delete_tag(run_id, "t")
    mirror.untag("t")
    store.update_run_info(run_id, 3, 77, "other")
    mirror.update(3, 77, "other")
    assert seen(mirror.run()) == seen(client.get_run(run_id))


def test_it_refuses_what_the_store_would(client: mlflow.MlflowClient) -> None:
    run_id = client.create_run("0").info.run_id
    client.log_param(run_id, "p", "1")
    mirror, store = Mirror(client.get_run(run_id)), client._tracking_client.store
    for refuse in (
        lambda: mirror.take([], [Param("p", "2")], []),
        lambda: store.log_batch(run_id, [], [Param("p", "2")], []),
    ):
        with pytest.raises(MlflowException, match="Changing param values is not allowed") as error:
            refuse()
        assert error.value.error_code == "INVALID_PARAMETER_VALUE"
    for refuse in (lambda: mirror.untag("no"), lambda: store.delete_tag(run_id, "no")):
        with pytest.raises(MlflowException) as error:
            refuse()
        assert error.value.error_code == "RESOURCE_DOES_NOT_EXIST"
