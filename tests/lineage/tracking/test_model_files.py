"""Which files become an MLflow model as they are, and which do not."""

from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import Ridge

from lineage.tracking import models

# Of a type of MLflow's own, when it is imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning")

DIGEST = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> MlflowClient:
    """A fresh store, to which MLflow's own functions speak too."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(empty_store.read_bytes())
    mlflow.set_tracking_uri(f"sqlite:///{path}")
    return MlflowClient()


def logged(store: MlflowClient, path: Path) -> str | None:
    """The logged model that is made of the files at ``path``."""
    name = path.as_uri()
    experiment = store.create_experiment(name, (path.parent / "artifacts").as_uri())
    return models.ensure_model(store, experiment, None, path, DIGEST)


def downloaded(model_id: str | None) -> dict[str, bytes]:
    """Name -> bytes of the files of a logged model, without what MLflow adds as it downloads."""
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}"))
    return {
        each.relative_to(folder).as_posix(): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.name != "registered_model_meta"
    }


def test_what_mlflow_saved_is_the_model_that_mlflow_loads(
    store: MlflowClient, tmp_path: Path
) -> None:
    path = tmp_path / "prices"
    model = Ridge().fit(np.eye(3), [1, 2, 3])
    mlflow.sklearn.save_model(model, path, pip_requirements=["scikit-learn"])
    before = {each.name: each.read_bytes() for each in path.iterdir()}
    model_id = logged(store, path)
    assert downloaded(model_id) == before
    loaded = mlflow.sklearn.load_model(f"models:/{model_id}")
    assert loaded.predict(np.eye(3)).tolist() == model.predict(np.eye(3)).tolist()
    assert store.get_logged_model(model_id).status == "READY"
    version = mlflow.register_model(f"models:/{model_id}", "prices")
    assert mlflow.sklearn.load_model(f"models:/prices/{version.version}").coef_.size == 3


@pytest.mark.parametrize("name", ["weights.safetensors", "folder/weights.safetensors"])
def test_safetensors_are_kept_as_they_are(store: MlflowClient, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    save_file({"w": np.arange(6.0)}, file)
    path = tmp_path / name.partition("/")[0]
    model_id = logged(store, path)
    assert downloaded(model_id) == {"weights.safetensors": file.read_bytes()}
    folder = mlflow.artifacts.download_artifacts(f"models:/{model_id}")
    assert load_file(Path(folder, "weights.safetensors"))["w"].tolist() == [0, 1, 2, 3, 4, 5]
    assert mlflow.register_model(f"models:/{model_id}", "weights").version == 1


@pytest.mark.parametrize(
    "name", ["model.pkl", "model.joblib", "model.json", "MLmodel", "folder/model.pkl"]
)
def test_other_files_become_none(store: MlflowClient, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"who knows")
    assert logged(store, tmp_path / name.partition("/")[0]) is None
    experiments = [each.experiment_id for each in store.search_experiments()]
    assert list(store.search_logged_models(experiments)) == []


def test_nothing_is_loaded(store: MlflowClient, tmp_path: Path) -> None:
    """A model of somebody else, whose pickle writes a file when it is loaded."""
    path = tmp_path / "trap"
    path.mkdir()
    (path / "MLmodel").write_text(
        "flavors:\n  sklearn: {pickled_model: model.pkl, serialization_format: pickle}\n"
    )
    sprung = tmp_path / "sprung"
    (path / "model.pkl").write_bytes(f"cos\nsystem\n(S'touch {sprung}'\ntR.".encode())
    assert set(downloaded(logged(store, path))) == {"MLmodel", "model.pkl"}
    assert not sprung.exists()
