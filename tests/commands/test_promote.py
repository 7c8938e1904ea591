"""The champion changes only for a better metric on the same data."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cocopipe.commands.promote import promote
from cocopipe.errors import UserError

NAME = "detector"
Register = Callable[..., str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> str:
    return f"sqlite:///{shutil.copy(empty_store, tmp_path_factory.mktemp('registry'))}"


@pytest.fixture
def client(store: str) -> MlflowClient:
    client = MlflowClient(store)
    if any(model.name == NAME for model in client.search_registered_models()):
        client.delete_registered_model(NAME)
    client.create_registered_model(NAME)
    return client


@pytest.fixture
def register(client: MlflowClient, tmp_path: Path) -> Register:
    """Register a version as the stage does, and make it the candidate."""

    def make(verdict: str = "accepted", **scores: dict[str, float]) -> str:
        tags = {"verdict": verdict, "dvc.evaluation": list(scores)[-1]}
        tags |= {f"evaluation.{digest}": json.dumps(each) for digest, each in scores.items()}
        version = client.create_model_version(NAME, tmp_path.as_uri(), tags=tags).version
        client.set_registered_model_alias(NAME, "candidate", version)
        return str(version)

    return make


def champion(client: MlflowClient) -> str | None:
    version = client.get_registered_model(NAME).aliases.get("champion")
    return None if version is None else str(version)


def test_without_a_candidate_it_says_what_to_run(client: MlflowClient) -> None:
    with pytest.raises(UserError, match="run `dvc repro`"):
        promote(client, NAME, "AP")


def test_without_a_model_too(client: MlflowClient) -> None:
    with pytest.raises(UserError, match="no version of nothing has the alias candidate"):
        promote(client, "nothing", "AP")


def test_the_first_accepted_version_is_champion(client: MlflowClient, register: Register) -> None:
    version = register(day1={"AP": 0.5})
    assert promote(client, NAME, "AP").promoted
    assert champion(client) == version
    again = promote(client, NAME, "AP")
    assert not again.promoted
    assert "is the champion already" in again.reason


def test_a_rejected_version_never_is(client: MlflowClient, register: Register) -> None:
    register("rejected", day1={"AP": 0.9})
    decision = promote(client, NAME, "AP")
    assert not decision.promoted
    assert "rejected" in decision.reason
    assert champion(client) is None


@pytest.mark.parametrize(("score", "promoted"), [(0.51, True), (0.5, False), (0.4, False)])
def test_a_better_one_takes_its_place(
    client: MlflowClient, register: Register, score: float, promoted: bool
) -> None:
    old = register(day1={"AP": 0.5})
    promote(client, NAME, "AP")
    new = register(day1={"AP": score})
    decision = promote(client, NAME, "AP")
    assert decision.promoted is promoted
    assert champion(client) == (new if promoted else old)
    assert "0.5000" in decision.reason
    assert "day1" in decision.reason


def test_figures_on_other_data_do_not_compare(client: MlflowClient, register: Register) -> None:
    old = register(day1={"AP": 0.5})
    promote(client, NAME, "AP")
    register(day2={"AP": 0.9})
    decision = promote(client, NAME, "AP")
    assert not decision.promoted
    assert "day2" in decision.reason
    assert champion(client) == old


def test_a_champion_that_was_scored_on_both_compares(
    client: MlflowClient, register: Register
) -> None:
    register(day1={"AP": 0.5}, day2={"AP": 0.3})
    promote(client, NAME, "AP")
    new = register(day2={"AP": 0.4})
    assert promote(client, NAME, "AP").promoted
    assert champion(client) == new


def test_a_metric_that_is_not_there_is_told(client: MlflowClient, register: Register) -> None:
    register(day1={"AP": 0.5})
    decision = promote(client, NAME, "F1")
    assert not decision.promoted
    assert "has no F1" in decision.reason
