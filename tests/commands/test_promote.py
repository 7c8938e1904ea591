"""The champion changes only for a better metric on the same data."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cocopipe import params
from cocopipe.cli import main
from cocopipe.commands.promote import Decision, promote
from cocopipe.errors import UserError
from lineage.project import Project

ROOT = Path(__file__).resolve().parents[2]
NAME = "detector"
Register = Callable[..., str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Project:
    """A repository with nothing in it, and its store."""
    root = tmp_path_factory.mktemp("registry")
    shutil.copy(empty_store, root / "mlflow.db")
    shutil.copy(ROOT / "params.yaml", root)
    for command in (("git", "init", "--quiet"), ("dvc", "init", "--quiet")):
        subprocess.run(command, cwd=root, check=True)
    return Project.find(root)


@pytest.fixture
def client(project: Project) -> MlflowClient:
    client = project.client
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


@pytest.fixture
def decide(project: Project) -> Callable[..., Decision]:
    settings = params.read(ROOT / "params.yaml")

    def ask(metric: str = "AP", name: str = NAME) -> Decision:
        chosen = replace(settings.register, model_name=name, promote_metric=metric)
        return promote(project, replace(settings, register=chosen))

    return ask


Decide = Callable[..., Decision]


def champion(client: MlflowClient) -> str | None:
    version = client.get_registered_model(NAME).aliases.get("champion")
    return None if version is None else str(version)


def test_without_a_candidate_it_says_what_to_run(client: MlflowClient, decide: Decide) -> None:
    with pytest.raises(UserError, match="run `dvc repro`"):
        decide()


def test_without_a_model_too(client: MlflowClient, decide: Decide) -> None:
    with pytest.raises(UserError, match="no version of nothing has the alias candidate"):
        decide(name="nothing")


def test_the_first_accepted_version_is_champion(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    version = register(day1={"AP": 0.5})
    assert decide().promoted
    assert champion(client) == version
    again = decide()
    assert not again.promoted
    assert "is the champion already" in again.reason


def test_a_rejected_version_never_is(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    register("rejected", day1={"AP": 0.9})
    decision = decide()
    assert not decision.promoted
    assert "rejected" in decision.reason
    assert champion(client) is None


@pytest.mark.parametrize(("score", "promoted"), [(0.51, True), (0.5, False), (0.4, False)])
def test_a_better_one_takes_its_place(
    client: MlflowClient, register: Register, decide: Decide, score: float, promoted: bool
) -> None:
    old = register(day1={"AP": 0.5})
    decide()
    new = register(day1={"AP": score})
    decision = decide()
    assert decision.promoted is promoted
    assert champion(client) == (new if promoted else old)
    assert "0.5000" in decision.reason
    assert "day1" in decision.reason


def test_a_champion_that_nobody_can_evaluate_is_kept(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    old = register(day1={"AP": 0.5})
    decide()
    register(day2={"AP": 0.9})
    with pytest.raises(UserError, match="version 1 has no AP on day2, and no DVC hash"):
        decide()
    assert champion(client) == old


def test_a_champion_that_was_scored_on_both_compares(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    register(day1={"AP": 0.5}, day2={"AP": 0.3})
    decide()
    new = register(day2={"AP": 0.4})
    assert decide().promoted
    assert champion(client) == new


def test_a_metric_that_is_not_there_is_told(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    register(day1={"AP": 0.5})
    decision = decide("F1")
    assert not decision.promoted
    assert "has no F1" in decision.reason


def history(client: MlflowClient) -> list[dict]:
    """The promotions that the registry holds, oldest first."""
    tags = client.get_registered_model(NAME).tags
    return [json.loads(tags[key]) for key in sorted(tags) if key.startswith("promotion.")]


def test_each_promotion_is_written_down_and_stays(
    client: MlflowClient, register: Register, decide: Decide
) -> None:
    register(day1={"AP": 0.5})
    decide()
    first = history(client)
    decide()
    register(day1={"AP": 0.25})
    decide()
    assert history(client) == first
    register(day1={"AP": 0.75})
    decide()
    written = history(client)
    assert written[:1] == first
    assert [(each["before"], each["version"], each["data"]) for each in written] == [
        ("", "1", "day1"),
        ("1", "3", "day1"),
    ]
    assert written[1]["metrics"] == {"1": {"AP": 0.5}, "3": {"AP": 0.75}}
    assert written[1]["why"] == "AP 0.7500 of version 3 against 0.5000 of version 1, on day1"
    assert written[1]["alias"] == "champion"
    assert written[1]["by"]
    assert written[0]["at"] < written[1]["at"]


def test_who_is_stopped_while_promoting_does_it_again(
    client: MlflowClient, register: Register, decide: Decide, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(day1={"AP": 0.5})
    with monkeypatch.context() as stopping:

        def stop(*_: object) -> None:
            raise KeyboardInterrupt

        stopping.setattr(client, "set_registered_model_alias", stop)
        with pytest.raises(KeyboardInterrupt):
            decide()
    assert champion(client) is None
    assert decide().promoted
    assert champion(client) == version
    assert [each["version"] for each in history(client)] == [version, version]


def test_figures_as_json(
    project: Project,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stated = (ROOT / "params.yaml").read_text().replace("model_name: coco-", "model_name: ")
    (project.workspace.root / "params.yaml").write_text(stated)
    monkeypatch.chdir(project.workspace.root)
    register(day1={"AP": 0.5})
    assert main(["promote", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "promoted": True,
        "reason": "version 1 is the first champion, with AP 0.5000",
        "candidate": "1",
        "champion": "",
        "metric": "AP",
        "data": "day1",
        "before": None,
        "after": 0.5,
        "share": None,
        "notes": [],
    }
    assert main(["promote"]) == 0
    assert capsys.readouterr().out == "kept: version 1 is the champion already\n"
