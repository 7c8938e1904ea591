"""Fixtures of this room: raw data, converted; a detector, logged as MLflow's models."""

import os
import shutil
import subprocess
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from cocopipe.detect.network.detector import save
from cocopipe.tracking.flavor import log_model
from tests.conftest import Once, using_store
from tests.converting import converted
from tests.detect.small import new_detector, without_background

__all__ = ["converted"]

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@dataclass(frozen=True)
class Logged:
    """A detector with random weights, and what MLflow has of it."""

    files: Path
    """Its folder, as the train stage writes it."""
    plain: Path
    """The model that is logged by default."""
    with_torch: Path
    """The one with ``tracking.torch_model``."""


@pytest.fixture(scope="session")
def logged(once: Once) -> Logged:
    """A detector of `splits`, logged twice in a project of its own. Leave it as it is."""

    def make(folder: Path) -> Logged:
        for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
            subprocess.run(command, cwd=folder, check=True)
        files = folder / "detector"
        files.mkdir()
        save(without_background(new_detector(image_size=64)), files)
        shutil.copy(PARAMS, folder)
        with using_store(f"sqlite:///{folder / 'mlflow.db'}"):
            plain = written(folder, files)
            text = PARAMS.read_text().replace("torch_model: false", "torch_model: true")
            (folder / "params.yaml").write_text(text)
            with_torch = written(folder, files)
        return Logged(files, plain, with_torch)

    return once("logged", make)


def written(folder: Path, files: Path) -> Path:
    """Log a model in a project; returns the folder of its files."""
    client = mlflow.MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    if client.get_experiment_by_name("detectors") is None:
        client.create_experiment("detectors", str(folder / "artifacts"))
    experiment = client.get_experiment_by_name("detectors").experiment_id
    model = client.create_logged_model(experiment, name="detector")
    with chdir(folder):
        assert log_model(files, model.model_id, "detector")
    found = client.get_logged_model(model.model_id)
    assert found.status == "READY"
    return Path(found.artifact_location)
