"""The tabular example, by the commands of its README, where nothing but `lineage` is installed.

What is expected is worked out with the text of dvc.lock and the MLflow client alone.
"""

import json
import re
import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.entities import Run

from tests.examples.conftest import ROOT, Alone
from tests.lineage.conftest import Project, hashes, tag

pytestmark = [
    pytest.mark.slow,
    # Of a type of MLflow's own, when it is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]

EXAMPLE = ROOT / "examples" / "tabular"
README = (EXAMPLE / "README.md").read_text()
OF_THE_PIPELINE = {"torch", "torchvision", "datasets", "pycocotools", "msgspec", "safetensors"}


@pytest.fixture(scope="module")
def told(alone: Alone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every command of the README -> what it printed, in the order of the README."""
    root = tmp_path_factory.mktemp("example") / "tabular"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("__pycache__"))
    project = alone.project(root)
    (block,) = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    commands = [line.partition("#")[0].strip() for line in block.splitlines()]
    return {"": str(root), **{each: project.run("sh", "-c", each).stdout for each in commands}}


@pytest.fixture(scope="module")
def project(alone: Alone, told: dict[str, str]) -> Project:
    """The example after the last command of the README."""
    return alone.project(Path(told[""]))


def only(runs: list[Run]) -> Run:
    (run,) = runs
    return run


def test_nothing_is_installed_but_the_wheel_and_what_it_needs(alone: Alone) -> None:
    import importlib.metadata

    site = next(alone.bin.parent.glob("lib/python*/site-packages"))
    found = {
        each.metadata["Name"].lower().replace("_", "-").replace(".", "-"): each.version
        for each in importlib.metadata.distributions(path=[str(site)])
    }
    assert {"cocopipe", "dvc", "mlflow"} <= found.keys()
    assert not found.keys() & OF_THE_PIPELINE
    pinned = {
        tuple(line.partition(" ;")[0].split("=="))
        for line in (ROOT / "requirements.lock").read_text().splitlines()
    }
    assert set(found.items()) - {("cocopipe", found["cocopipe"])} <= pinned


def test_each_stage_is_one_run_with_what_the_lock_says(project: Project) -> None:
    for stage, entry in project.lock().items():
        run = only(project.runs(stage))
        assert run.info.status == "FINISHED"
        assert tag(run, "dvc.deps") == hashes(entry["deps"])
        assert tag(run, "dvc.outs") == hashes(entry["outs"])


def test_what_the_readme_asks_is_answered(project: Project, told: dict[str, str]) -> None:
    trace = told["lineage trace models:/prices@candidate"]
    impact = told["lineage impact houses.csv"]
    runs = {stage: only(project.runs(stage)).info.run_id for stage in project.lock()}
    raw = hashes(project.lock()["prepare"]["deps"])["houses.csv"]
    for text in (trace, impact):
        assert f"houses.csv  {raw[:10]}" in text
        assert "models:/prices/1  @candidate  accepted" in text
        for stage in ("prepare", "train"):
            assert runs[stage][:10] in text
    # Of the model the evaluation is no cause, of the rows it is a consequence.
    assert runs["evaluate"][:10] not in trace
    assert runs["evaluate"][:10] in impact
    assert "3 stages, 1 model versions" in told["lineage verify"]
    assert "breaks: 0" in told["lineage verify"]


def test_the_model_is_mlflows_own_with_its_lineage(project: Project) -> None:
    (version,) = project.client.search_model_versions("name = 'prices'")
    lock = project.lock()
    assert version.tags["dvc.hash"] == hashes(lock["train"]["outs"])["models/prices"]
    data = {"data/train.csv": hashes(lock["train"]["deps"])["data/train.csv"]}
    assert json.loads(version.tags["dvc.data"]) == data
    assert version.tags["dvc.run"] == only(project.runs("train")).info.run_id
    rows = np.loadtxt(project.root / "data" / "test.csv", delimiter=",", skiprows=1)
    mlflow.set_tracking_uri(f"sqlite:///{project.root / 'mlflow.db'}")
    model = mlflow.sklearn.load_model("models:/prices@candidate")
    metrics = json.loads((project.root / "reports" / "metrics.json").read_text())
    assert model.score(rows[:, :-1], rows[:, -1]) == pytest.approx(metrics["r2"])
    assert metrics["r2"] > 0.9


def test_another_server_gets_the_same_model(project: Project, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'other.db'}"
    project.run("lineage", "sync", MLFLOW_TRACKING_URI=uri)
    there, here = (
        client.get_model_version_by_alias("prices", "candidate")
        for client in (mlflow.MlflowClient(uri), project.client)
    )
    assert there.tags["dvc.hash"] == here.tags["dvc.hash"]
    assert there.tags["dvc.data"] == here.tags["dvc.data"]
    mlflow.set_tracking_uri(uri)
    model = Path(mlflow.artifacts.download_artifacts("models:/prices@candidate"))
    written = project.root / "models" / "prices" / "model.skops"
    assert (model / "model.skops").read_bytes() == written.read_bytes()


def test_no_pickle_is_written(project: Project) -> None:
    files = [
        each for folder in ("models", "mlartifacts") for each in (project.root / folder).rglob("*")
    ]
    assert {"model.skops", "MLmodel"} <= {each.name for each in files}
    assert not [each for each in files if each.suffix in {".pkl", ".pickle", ".joblib"}]


def test_a_second_repro_has_nothing_to_do(project: Project) -> None:
    assert "Running stage" not in project.run("dvc", "repro").stdout
    assert project.run("git", "status", "--porcelain").stdout == ""


def test_a_script_that_is_started_by_hand_says_one_sentence(project: Project) -> None:
    done = project.run("python", "train.py", ok=False)
    assert done.returncode == 1
    assert done.stderr.startswith("lineage: this is the command of a DVC stage")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [["cocopipe", "promote"], ["python", "-m", "cocopipe.stages", "train"]],
    ids=["command", "stage"],
)
def test_cocopipe_says_what_to_install(project: Project, command: list[str]) -> None:
    done = project.run(*command, ok=False, DVC_STAGE="train")
    assert done.returncode == 1
    assert re.match(r"\w+: the pipeline's packages are not installed \(datasets, ", done.stderr)
    assert "pip install '.[pipeline]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_cocopipe_in_python_says_what_to_install(project: Project) -> None:
    done = project.run("python", "-c", "import cocopipe; cocopipe.load('data')", ok=False)
    assert "UserError: the pipeline's packages are not installed" in done.stderr
    assert "ModuleNotFoundError" not in done.stderr
