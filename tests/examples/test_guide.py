"""What docs/lineage.md says of pipelines of one's own, done as it is written."""

import re
import shutil
import tomllib

import mlflow
import pytest

from tests.examples.conftest import GUIDE, ROOT, Alone
from tests.lineage.conftest import Project, hashes, tag

pytestmark = [
    pytest.mark.slow,
    # Of a type of MLflow's own, when it is imported.
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),
]


def block(language: str) -> str:
    """The only block of this language from the section about Python on."""
    section = GUIDE.partition("### A script in Python\n")[2]
    (text,) = re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)
    return str(text)


@pytest.fixture(scope="module")
def project(alone: Alone, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The stage of the guide, after `dvc repro`."""
    project = alone.project(tmp_path_factory.mktemp("guide") / "project")
    project.write("train.py", block("python"))
    project.write("dvc.yaml", block("yaml"))
    project.write(".gitignore", "/mlflow.db*\n/mlartifacts/\n")
    (project.root / "data").mkdir()
    shutil.copy(ROOT / "examples" / "tabular" / "houses.csv", project.root / "data" / "train.csv")
    for command in (
        "git init --quiet",
        "dvc init --quiet",
        "dvc add --quiet data/train.csv",
        "dvc repro",
    ):
        project.run(*command.split())
    project.commit("A model")
    return project


def test_the_stage_of_the_guide_is_a_run_with_a_model(project: Project) -> None:
    (run,) = project.runs("train")
    entry = project.lock()["train"]
    assert tag(run, "dvc.deps") == hashes(entry["deps"])
    assert run.data.metrics["r2"] > 0.9
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "data/train.csv"
    assert data.dataset.digest == hashes(entry["deps"])["data/train.csv"]
    assert {each.key: each.value for each in data.tags}["mlflow.data.context"] == "training"
    (output,) = run.outputs.model_outputs
    mlflow.set_tracking_uri(f"sqlite:///{project.root / 'mlflow.db'}")
    assert mlflow.sklearn.load_model(f"models:/{output.model_id}").coef_.shape == (4,)


def test_the_guides_trace_tells_what_the_model_was_made_of(project: Project) -> None:
    command = re.findall(r"`(lineage trace [^`]+)`", GUIDE)[0]
    said = project.run(*command.split()).stdout
    assert said.startswith("models/prices")
    assert project.runs("train")[0].info.run_id[:10] in said
    assert hashes(project.lock()["train"]["deps"])["data/train.csv"][:10] in said


def test_a_name_is_a_path_without_folder_and_suffix(project: Project) -> None:
    assert "`data/train.csv` is `train`" in GUIDE
    code = (project.root / "train.py").read_text()
    assert 'run.dep("train")' in code
    project.write("train.py", code.replace('run.dep("train")', 'run.dep("train.csv")'))
    done = project.run("dvc", "repro", ok=False)
    project.write("train.py", code)
    said = [line for line in done.stderr.splitlines() if line.startswith("lineage: ")]
    assert said == [
        "lineage: dvc.yaml: stage train declares no path named 'train.csv' under deps: add it"
        " there, or say one of 'train' (data/train.csv), 'train' (train.py); a name is the last"
        " part of a path, without its suffix."
    ]
    assert "Traceback" not in done.stderr
    assert project.runs("train")[-1].info.status == "FAILED"


def test_the_entry_points_of_the_guide_are_those_that_are_asked() -> None:
    groups = tomllib.loads(block("toml"))["project"]["entry-points"]
    source = (ROOT / "src" / "lineage" / "plugins.py").read_text()
    assert groups.keys() == {"lineage.facts", "lineage.models"}
    assert all(f'"{group}"' in source for group in groups)
    named = {
        value.partition(":")[2].split()[0] for group in groups.values() for value in group.values()
    }
    assert all(f"``{name}(path" in source for name in named)
