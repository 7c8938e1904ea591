"""Versions that users register by hand lead to the DVC hash of their model all the same."""

import sqlite3
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from lineage.project import Project as Asked
from lineage.tracking.no_store import NoStore
from lineage.tracking.registry import Registry
from lineage.verbs.checkout import checkout
from lineage.verbs.impact import impact
from lineage.verbs.show import show
from tests.lineage.conftest import Project, hashes


@pytest.fixture
def by_hand(registered: Project, tmp_path: Path) -> Project:
    """A logged model of a stage, registered by hand, copied twice, with an alias."""
    project = registered.copy(tmp_path / "by-hand")
    mlflow.set_tracking_uri(f"sqlite:///{project.root / 'mlflow.db'}")  # which MLflow looks at
    client = project.client
    digest = hashes(project.lock()["train"]["outs"])["weights.txt"]
    model = client.create_logged_model("0", name="weights", tags={"dvc.hash": digest})
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
    client.log_model_artifacts(model.model_id, str(tmp_path / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    for name in ("mine", "copy", "again", "loop"):
        client.create_registered_model(name)
    client.create_model_version("mine", f"models:/{model.model_id}")
    client.copy_model_version("models:/mine/1", "copy")
    client.copy_model_version("models:/copy/1", "again")
    client.set_registered_model_alias("again", "best", 1)
    return project


@pytest.mark.parametrize("ref", ["models:/mine/1", "models:/copy/1", "models:/again@best"])
def test_they_are_shown_and_brought_back(
    by_hand: Project, ref: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(by_hand.root)
    digest = hashes(by_hand.lock()["train"]["outs"])["weights.txt"]
    asked = Asked.find()
    graph = show(asked, ref).graph
    assert [graph.nodes[root].hash for root in graph.roots] == [digest]
    brought = checkout(asked, ref, tmp_path / "out")
    assert [place.hash for place in brought.places] == [digest]
    assert (tmp_path / "out").read_text() == (by_hand.root / "weights.txt").read_text()


def test_impact_reaches_them(by_hand: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(by_hand.root)
    nodes = impact(Asked.find(), "data/made.txt").nodes
    assert {"models:/x/1", "models:/mine/1", "models:/copy/1", "models:/again/1"} <= nodes.keys()
    assert nodes["models:/again/1"].aliases == ("best",)


def test_a_circle_of_copies_ends(by_hand: Project) -> None:
    with sqlite3.connect(by_hand.root / "mlflow.db") as database:
        database.execute("UPDATE model_versions SET source = 'models:/again/1' WHERE name = 'mine'")
    database.close()
    versions = {each.id: each.hash for each in Registry(by_hand.client).versions}
    assert versions["models:/again/1"] == ""


class Counting:
    """Counts what a client is asked."""

    def __init__(self, client: MlflowClient) -> None:
        self.client, self.asked = client, []

    def __getattr__(self, name: str) -> object:
        self.asked.append(name)
        return getattr(self.client, name)


def test_many_are_asked_for_at_once(by_hand: Project) -> None:
    client = by_hand.client
    (model,) = client.search_logged_models(["0"])
    for _ in range(40):
        client.create_model_version("mine", f"models:/{model.model_id}")
    counting = Counting(client)
    versions = Registry(counting).versions
    assert len({each.hash for each in versions if each.name == "mine"}) == 1
    assert len(counting.asked) < 8


def test_there_are_none_without_a_store() -> None:
    registry = Registry(NoStore("sqlite:///nowhere"))
    assert registry.versions == []
    assert registry.find("x", "1") is None
    assert registry.logged("0" * 32) == []
