"""A champion that was evaluated on other data is evaluated on the candidate's, first."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run

from cocopipe import params
from cocopipe.commands.promote import Decision, promote
from cocopipe.detect.comparison.resampling import compare
from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.detector import load, save
from cocopipe.detect.prediction.predict import predict
from cocopipe.errors import UserError
from cocopipe.split.objects import ground_truth
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from tests.conftest import Once, using_store
from tests.detect.fitted import fitted
from tests.detect.small import CPU
from tests.detect.splits import rectangles, write_split

ROOT = Path(__file__).resolve().parents[2]
NAME = "coco-detector"
THRESHOLD = 0.125
METRIC = "AP"
STEPS = {"one": 24, "two": 12}
"""How long each was fitted: on data two, two is better, and not surely."""


@dataclass
class Project:
    """Two models and two splits, versions ``one`` and ``two`` of each, tracked by DVC."""

    root: Path

    @property
    def client(self) -> mlflow.MlflowClient:
        uri = f"sqlite:///{self.root / 'mlflow.db'}"
        return mlflow.MlflowClient(uri, registry_uri=uri)

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def hash(self, path: str, rev: str) -> str:
        return self.run("git", "show", f"{rev}:{path}.dvc").partition("md5: ")[2].split()[0]

    def register(self, rev: str, **tags: str) -> str:
        """Register the model of a revision, as accepted."""
        digest = self.hash("models/detector", rev)
        client = self.client
        every = {"dvc.hash": digest, "verdict": "accepted", **tags}
        model = client.create_logged_model("0", name="detector", tags={"dvc.hash": digest})
        client.finalize_logged_model(model.model_id, "READY")
        version = client.create_model_version(NAME, f"models:/{model.model_id}", tags=every)
        return str(version.version)

    def evaluations(self) -> list[Run]:
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        found = self.client.search_runs(experiments, "attributes.run_name = 'evaluate'")
        return [self.client.get_run(run.info.run_id) for run in found]


@pytest.fixture(scope="session")
def made(once: Once, empty_store: Path) -> Project:
    def make(folder: Path) -> Project:
        project = Project(folder / "project")
        project.root.mkdir()
        shutil.copy(empty_store, project.root / "mlflow.db")
        shutil.copy(ROOT / "params.yaml", project.root)
        for command in (
            ("git", "init", "--quiet", "--initial-branch", "main"),
            ("git", "config", "user.email", "who@example.org"),
            ("git", "config", "user.name", "Who"),
            ("dvc", "init", "--quiet"),
            ("dvc", "config", "core.analytics", "false"),
        ):
            project.run(*command)
        for seed, rev in enumerate(("one", "two"), start=1):
            shutil.rmtree(project.root / "models", ignore_errors=True)
            shutil.rmtree(project.root / "data", ignore_errors=True)
            (project.root / "models" / "detector").mkdir(parents=True)
            drawn = rectangles(6, seed=seed, odd=False)
            save(fitted(*drawn, steps=STEPS[rev]), project.root / "models" / "detector")
            split = write_split(folder / rev, *drawn)
            shutil.copytree(split, project.root / "data" / "val")
            project.run("dvc", "add", "--quiet", "models/detector", "data/val")
            (project.root / ".gitignore").write_text("/mlflow.db*\n/mlartifacts/\n")
            project.run("git", "add", "--all")
            project.run("git", "commit", "--quiet", "--message", rev)
            project.run("git", "tag", rev)
        with using_store(project.client.tracking_uri):  # where it looks for models
            register_both(project)
        return project

    return Project(once("two models", make).root)


def register_both(project: Project) -> None:
    """A champion that was evaluated on data one, and a candidate that was on two."""
    one, two = (project.hash("data/val", rev) for rev in ("one", "two"))
    project.client.create_registered_model(NAME)
    old = project.register("one", **{"dvc.evaluation": one, f"evaluation.{one}": '{"AP": 0.5}'})
    figures = json.dumps(own_figures(project.root, "two", "two"))
    new = project.register("two", **{"dvc.evaluation": two, f"evaluation.{two}": figures})
    project.client.set_registered_model_alias(NAME, "champion", old)
    project.client.set_registered_model_alias(NAME, "candidate", new)


@pytest.fixture
def project(made: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy, where the process is."""
    root = tmp_path / "project"
    shutil.copytree(made.root, root, symlinks=True)
    monkeypatch.chdir(root)
    return Project(root)


def own_predictions(root: Path, model: str, data: str) -> tuple[list[dict[str, Any]], Any]:
    """What a model finds on data, both of a revision, by the functions of the stage alone."""
    folders = {}
    for path, rev in (("models/detector", model), ("data/val", data)):
        folders[path] = root.parent / f"{rev}-{Path(path).name}"
        if not folders[path].exists():
            command = ["dvc", "get", "--quiet", "--rev", rev, ".", path, "-o", str(folders[path])]
            subprocess.run(command, cwd=root, check=True)
    found = predict(
        load(folders["models/detector"], CPU),
        folders["data/val"],
        batch_size=1,
        score_threshold=THRESHOLD,
        device=CPU,
        workers=0,
    )
    return found, ground_truth(folders["data/val"])


def own_figures(root: Path, model: str, data: str) -> dict[str, float]:
    found, document = own_predictions(root, model, data)
    metrics = score(document, found).metrics
    return {name: value for name, value in metrics.items() if value is not None}


@pytest.fixture
def decide(project: Project) -> Callable[..., Decision]:
    def ask(metric: str = METRIC, confidence: float | None = None) -> Decision:
        settings = params.read(ROOT / "params.yaml")
        chosen = replace(settings.register, promote_metric=metric, promote_confidence=confidence)
        evaluate = replace(settings.evaluate, score_threshold=THRESHOLD)
        machine = replace(settings.machine, device="cpu", workers=0)
        return promote(
            Asked.find(), replace(settings, register=chosen, evaluate=evaluate, machine=machine)
        )

    return ask


Decide = Callable[..., Decision]


def test_the_champion_is_evaluated_on_the_candidates_data(project: Project, decide: Decide) -> None:
    decision = decide()
    own = own_figures(project.root, "one", "two")
    assert decision.before == own[METRIC]
    assert decision.promoted is (decision.after > own[METRIC])
    digest = project.hash("data/val", "two")
    assert decision.notes == (f"version 1 was evaluated on {digest}.",)
    version = project.client.get_model_version(NAME, "1")
    assert json.loads(version.tags[f"evaluation.{digest}"]) == own
    assert version.tags["dvc.evaluation"] == project.hash("data/val", "one")
    (run,) = project.evaluations()
    assert run.info.status == "FINISHED"
    assert {name: run.data.metrics[name] for name in own} == own
    assert run.data.tags["model"] == f"models:/{NAME}/1"
    assert run.data.params == {"evaluate.score_threshold": str(THRESHOLD)}
    contexts = {
        each.dataset.name: tag.value
        for each in run.inputs.dataset_inputs
        for tag in each.tags
        if tag.key == "mlflow.data.context"
    }
    assert contexts == {"models/detector": "model", "data/val": "evaluation"}
    (model,) = run.inputs.model_inputs
    logged = project.client.get_logged_model(model.model_id)
    assert logged.tags["dvc.hash"] == project.hash("models/detector", "one")
    assert {each.key for each in logged.metrics} == own.keys()
    assert {each.dataset_digest for each in logged.metrics} == {digest}
    nodes = impact(Asked.find(), digest).as_dict()["nodes"]
    assert run.info.run_id in {(node.get("run") or {}).get("id") for node in nodes}


def test_it_is_evaluated_once(project: Project, decide: Decide) -> None:
    first, second = decide(), decide()
    assert len(project.evaluations()) == 1
    assert second.notes == ()
    if first.promoted:
        assert second.reason == "version 2 is the champion already"
    else:
        assert second == replace(first, notes=())


def test_a_gain_has_to_hold_on_resamples(project: Project, decide: Decide) -> None:
    own = {rev: own_predictions(project.root, rev, "two") for rev in ("one", "two")}
    document = own["two"][1]
    share = compare(document, own["one"][0], own["two"][0], METRIC).share
    assert 0.5 < share < 0.999
    kept = decide(confidence=0.999)
    assert not kept.promoted
    assert kept.share == share
    assert f"better in {share:.1%} of resamples of the images, 99.9% are asked" in kept.reason
    # The candidate's predictions were nowhere to be had either.
    assert len(project.evaluations()) == 2
    assert decide(confidence=0.999) == replace(kept, notes=())
    assert len(project.evaluations()) == 2
    assert decide(confidence=share - 0.01).promoted


def test_predictions_that_do_not_give_what_is_recorded_decide_nothing(
    project: Project, decide: Decide
) -> None:
    digest = project.hash("data/val", "two")
    for version, value in (("1", 0.0), ("2", 1.0)):
        project.client.set_model_version_tag(
            NAME, version, f"evaluation.{digest}", json.dumps({METRIC: value})
        )
    with pytest.raises(UserError, match="does not give the figures that are recorded"):
        decide(confidence=0.5)
    assert project.client.get_registered_model(NAME).aliases["champion"] in (1, "1")


def test_a_champion_whose_bytes_are_lost_is_kept_with_a_sentence(
    project: Project, decide: Decide
) -> None:
    digest = project.hash("models/detector", "one").removesuffix(".dir")
    listing = project.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / f"{digest[2:]}.dir"
    listing.chmod(0o644)
    listing.unlink()
    with pytest.raises(UserError, match=r"version 1 can't be evaluated on .*, which figures on"):
        decide()
    assert project.evaluations() == []


def test_a_category_can_decide(project: Project, decide: Decide) -> None:
    digest = project.hash("data/val", "two")
    found, document = own_predictions(project.root, "two", "two")
    by_name = {row.name: row.ap for row in score(document, found).per_category}
    figures = own_figures(project.root, "two", "two") | {"AP_red": by_name["red"]}
    project.client.set_model_version_tag(NAME, "2", f"evaluation.{digest}", json.dumps(figures))
    decision = decide("AP_red")
    assert decision.after == by_name["red"]
    found, document = own_predictions(project.root, "one", "two")
    (own,) = [row.ap for row in score(document, found).per_category if row.name == "red"]
    assert decision.before == own
    version = project.client.get_model_version(NAME, "1")
    assert json.loads(version.tags[f"evaluation.{digest}"])["AP_red"] == own
