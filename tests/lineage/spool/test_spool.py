"""Records on their way to a real store, behind a door that opens and closes."""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST, INTERNAL_ERROR, INVALID_PARAMETER_VALUE

from lineage.repository.workspace import Workspace
from lineage.spool import delivery, sender, spool, waiting
from lineage.spool.delivery import Resolver
from lineage.spool.spool import Spool
from lineage.spool.store import SpooledStore

WRITES = ("log_batch", "log_inputs", "update_run_info", "delete_tag", "create_run")


class Door:
    """A store that does not answer while the door is closed.

    Attributes:
        closed: Whether it is.
        loses: How many answers to writes get lost, after what was asked for was done.
        refuses: Names of metrics that are refused.
        error: The code of that.
        calls: Of writes, that arrived.
    """

    def __init__(self, store: Any) -> None:
        self.store = store
        self.closed = False
        self.loses = 0
        self.refuses: set[str] = set()
        self.error = INVALID_PARAMETER_VALUE
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        return self._through(name, found) if callable(found) else found

    def _through(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*args: Any, **named: Any) -> Any:
            if self.closed:
                raise MlflowException("the door is closed", INTERNAL_ERROR)
            if name == "log_batch" and self.refuses & {each.key for each in args[1]}:
                raise MlflowException("not this one", self.error)
            answer = call(*args, **named)
            if name in WRITES:
                self.calls.append(name)
                if self.loses:
                    self.loses -= 1
                    raise MlflowException("the answer got lost", INTERNAL_ERROR)
            return answer

        return ask


@pytest.fixture
def client(tmp_path: Path, empty_store: Path) -> mlflow.MlflowClient:
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = mlflow.MlflowClient(uri, registry_uri=uri)
    made.create_experiment("here", (tmp_path / "artifacts").as_uri())
    return made


@pytest.fixture
def door(client: mlflow.MlflowClient) -> Door:
    return Door(client._tracking_client.store)


@pytest.fixture
def store(door: Door, client: mlflow.MlflowClient) -> SpooledStore:
    return SpooledStore(client.tracking_uri, lambda: door)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(sender, "GATHERED_S", 0.01)
    monkeypatch.setattr(spool, "QUIET_S", 0.1)
    monkeypatch.setattr(spool, "ANSWER_S", 2.0)


def resolver(client: mlflow.MlflowClient) -> Resolver:
    experiment = client.get_experiment_by_name("here").experiment_id
    return Resolver(lambda: experiment, lambda name: name, lambda run_id, body: None)


@pytest.fixture
def open_spool(tmp_path: Path, store: SpooledStore, client: mlflow.MlflowClient) -> Iterator[Spool]:
    folder = tmp_path / "spools" / "group" / "0"
    folder.mkdir(parents=True)
    made = Spool(folder, store, resolver(client))
    store.spool = made
    made.sender.start()
    yield made
    made.close()


@pytest.fixture
def run_id(open_spool: Spool, client: mlflow.MlflowClient) -> str:
    run = client.create_run(client.get_experiment_by_name("here").experiment_id)
    return open_spool.adopt(run).info.run_id


def log(store: SpooledStore, run_id: str, steps: range) -> None:
    for step in steps:
        store.log_metric(run_id, Metric("loss", 1 / (1 + step), 1000 + step, step))


def logged(client: mlflow.MlflowClient, run_id: str, key: str = "loss") -> list[tuple[int, int]]:
    return [(each.step, each.timestamp) for each in client.get_metric_history(run_id, key)]


def as_logged(steps: range) -> list[tuple[int, int]]:
    return [(step, 1000 + step) for step in steps]


def test_a_store_that_is_away_holds_nobody_up_and_gets_all_later(
    open_spool: Spool, store: SpooledStore, door: Door, client: mlflow.MlflowClient, run_id: str
) -> None:
    log(store, run_id, range(5))
    assert open_spool.settle()
    door.closed = True
    began = time.perf_counter()
    log(store, run_id, range(5, 60))
    store.set_tag(run_id, RunTag("some", "tag"))
    assert time.perf_counter() - began < 1
    assert store.get_run(run_id).data.tags["some"] == "tag"
    assert store.get_run(run_id).data.metrics["loss"] == 1 / 60
    assert not open_spool.settle()
    door.closed = False
    assert open_spool.settle()
    assert logged(client, run_id) == as_logged(range(60))
    assert client.get_run(run_id).data.tags["some"] == "tag"


def test_it_is_told_once_that_it_is_away_and_once_that_it_is_back(
    open_spool: Spool,
    store: SpooledStore,
    door: Door,
    run_id: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for _ in range(2):
        door.closed = True
        log(store, run_id, range(3))
        open_spool.settle()
        log(store, run_id, range(3, 6))
        open_spool.settle()
        door.closed = False
        assert open_spool.settle()
    told = [record.getMessage() for record in caplog.records]
    assert ["takes nothing (the door is closed)" in each for each in told] == [True, False] * 2
    assert ["answers again" in each for each in told] == [False, True] * 2
    assert str(open_spool.folder) in told[0]


def test_a_store_that_answers_and_takes_nothing_is_given_up(
    open_spool: Spool,
    store: SpooledStore,
    door: Door,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spool, "LONGEST_QUIET_S", 0.5)
    monkeypatch.setattr(spool, "QUIET_S", 0.01)
    door.refuses, door.error = {"loss"}, INTERNAL_ERROR
    log(store, run_id, range(3))
    began = time.monotonic()
    assert not open_spool.settle()
    assert time.monotonic() - began < 5
    assert open_spool.waiting == 3


def test_what_arrived_and_whose_answer_was_lost_is_there_once(
    open_spool: Spool, store: SpooledStore, door: Door, client: mlflow.MlflowClient, run_id: str
) -> None:
    door.loses = 3
    log(store, run_id, range(10))
    assert open_spool.settle()
    assert door.calls.count("log_batch") > 3
    assert logged(client, run_id) == as_logged(range(10))


def test_one_that_is_refused_holds_up_no_other(
    open_spool: Spool,
    store: SpooledStore,
    door: Door,
    client: mlflow.MlflowClient,
    run_id: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    door.closed, door.refuses = True, {"bad"}
    log(store, run_id, range(20))
    store.log_metric(run_id, Metric("bad", 1.0, 1, 1))
    log(store, run_id, range(20, 40))
    door.closed = False
    assert open_spool.settle()
    assert logged(client, run_id) == as_logged(range(40))
    assert "does not take a record" in caplog.text
    (kept,) = (open_spool.folder.parent.parent / "refused.jsonl").read_text().splitlines()
    assert json.loads(kept)["run"] == run_id
    assert json.loads(kept)["why"] == "not this one"


def test_what_a_database_in_trouble_says_is_no_refusal_at_once(
    open_spool: Spool, store: SpooledStore, door: Door, client: mlflow.MlflowClient, run_id: str
) -> None:
    door.refuses, door.error = {"loss"}, BAD_REQUEST
    tries: list[int] = []
    through = door._through

    def twice(name: str, call: Any) -> Any:
        if name == "log_batch":
            tries.append(1)
            door.refuses = set() if len(tries) == delivery.TRIES else door.refuses
        return through(name, call)

    door._through = twice  # type: ignore[method-assign]
    log(store, run_id, range(3))
    assert open_spool.settle()
    assert logged(client, run_id) == as_logged(range(3))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda store, run: store.log_metric(run, Metric("a//../b", 1.0, 1, 1)),
        lambda store, run: store.log_metric(run, Metric("m", "much", 1, 1)),
        lambda store, run: store.log_param(run, Param("a*b", "1")),
        lambda store, run: store.log_batch(run, [], [Param("p", "1"), Param("p", "2")], []),
        lambda store, run: store.log_batch(run, [Metric("m", 1.0, 1, 1)] * 1001, [], []),
    ],
)
def test_what_is_wrong_is_told_to_who_logs_it(
    open_spool: Spool, store: SpooledStore, run_id: str, wrong: Any
) -> None:
    with pytest.raises(MlflowException):
        wrong(store, run_id)
    assert open_spool.waiting == 0


def test_another_run_of_the_store_is_none_of_its_business(
    open_spool: Spool, store: SpooledStore, client: mlflow.MlflowClient
) -> None:
    other = client.create_run("0").info.run_id
    log(store, other, range(2))
    assert logged(client, other) == as_logged(range(2))
    store.delete_tag(other, "mlflow.runName")
    assert "mlflow.runName" not in client.get_run(other).data.tags


def test_a_process_that_was_forked_off_writes_by_itself(
    store: SpooledStore, client: mlflow.MlflowClient, run_id: str
) -> None:
    child = os.fork()
    if child == 0:
        try:
            store.log_metric(run_id, Metric("of child", 1.0, 5, 5))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert logged(client, run_id, "of child") == [(5, 5)]


def begun(store: SpooledStore, start: int = 123) -> Run:
    """A run that is created while nobody can ask the store."""
    return store.create_run("", "me", start, [RunTag("dvc.stage", "s")], "some")


def test_a_run_that_began_without_its_store_is_made_later_once(
    open_spool: Spool,
    store: SpooledStore,
    door: Door,
    client: mlflow.MlflowClient,
    tmp_path: Path,
) -> None:
    open_spool.sender.is_away, door.closed = True, True
    run = begun(store)
    log(store, run.info.run_id, range(4))
    (tmp_path / "some.txt").write_text("some")
    repository = mlflow.store.artifact.artifact_repository_registry.get_artifact_repository
    repository(run.info.artifact_uri).log_artifact(str(tmp_path / "some.txt"), "below")
    store.update_run_info(run.info.run_id, 3, 456, None)
    (tmp_path / "some.txt").write_text("written over since")
    door.loses, door.closed = 1, False
    assert open_spool.settle()
    (made,) = client.search_runs([client.get_experiment_by_name("here").experiment_id])
    assert (made.info.start_time, made.info.end_time, made.info.status) == (123, 456, "FINISHED")
    assert logged(client, made.info.run_id) == as_logged(range(4))
    assert open_spool.called(run.info.run_id) == made.info.run_id
    artifact = client.download_artifacts(made.info.run_id, "below/some.txt", str(tmp_path))
    assert Path(artifact).read_text() == "some"
    assert not list((open_spool.folder / "files").iterdir())


def test_what_a_process_left_is_sent_by_another_in_its_order(
    tmp_path: Path,
    store: SpooledStore,
    door: Door,
    client: mlflow.MlflowClient,
) -> None:
    workspace = Workspace(tmp_path, tmp_path, tmp_path)
    experiment = client.get_experiment_by_name("here").experiment_id
    run = client.create_run(experiment)
    door.closed = True
    for turn in range(3):
        held = waiting.take(workspace, store.uri)
        made = Spool(held.path, store, resolver_of(experiment))
        made.adopt(run)
        store.spool = made
        log(store, run.info.run_id, range(10 * turn, 10 * turn + 10))
        store.set_tag(run.info.run_id, RunTag("turn", str(turn)))
        made.close()
        store.spool = None
        waiting.shelf_of(workspace).give_back(held, is_empty=False)
    assert waiting.waiting(workspace, store.uri) == 33
    with pytest.raises(MlflowException, match="door is closed"):
        waiting.send_waiting(workspace, store, resolver_of(experiment))
    assert waiting.waiting(workspace, store.uri) == 33
    door.closed = False
    running = waiting.take(workspace, store.uri)
    sent = waiting.send_waiting(workspace, store, resolver_of(experiment))
    assert (sent, waiting.waiting(workspace, store.uri)) == (33, 0)
    assert logged(client, run.info.run_id) == as_logged(range(30))
    assert client.get_run(run.info.run_id).data.tags["turn"] == "2"
    assert waiting.shelf_of(workspace).folders() == [running.path]


def resolver_of(experiment: str) -> Resolver:
    return Resolver(lambda: experiment, lambda name: name, lambda run_id, body: None)


def test_credentials_do_not_tell_a_store_from_itself() -> None:
    groups = {
        waiting.group_of(f"http://{who}tracking.example:5000") for who in ("", "me:old@", "me:new@")
    }
    assert len(groups) == 1
