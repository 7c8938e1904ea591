import importlib
import subprocess
import sys
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
import yaml
from mlflow.models import Model
from packaging.requirements import Requirement

from cocopipe.detect.network.detector import load
from cocopipe.tracking.carried import carried
from cocopipe.tracking.flavor import _requirements, _signature, log_model
from tests.detect.small import CPU, new_detector
from tests.tracking.conftest import Logged

ASK = """
import sys
sys.modules["cocopipe"] = None
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
table = pd.DataFrame({"image": [open(sys.argv[2], "rb").read()]})
print(model.predict(table, params={"score_threshold": 0.0}).to_json(orient="records"))
"""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.effect_noise((120, 90), 80).convert("RGB").save(path)
    return path


@pytest.fixture(scope="module")
def answered(logged: Logged, photo: Path) -> str:
    """What a fresh process is answered where this project is not, and no pickle is let in."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(logged.plain), str(photo)],
        cwd=photo.parent,
        env={"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_answers_where_this_project_is_not_and_no_pickle_is_let_in(answered: str) -> None:
    assert '"boxes":[[' in answered


def test_it_answers_the_same_beside_the_present_code(
    logged: Logged, photo: Path, answered: str
) -> None:
    assert importlib.import_module("cocopipe.detect.serving.finder")
    model = mlflow.pyfunc.load_model(str(logged.plain))
    table = pd.DataFrame({"image": [photo.read_bytes()]})
    found = model.predict(table, params={"score_threshold": 0.0})
    assert found.to_json(orient="records") == answered.strip()
    names = [name for name in sys.modules if name.endswith(".cocopipe.detect.serving.finder")]
    assert len(names) == 1


def test_nothing_of_it_is_a_pickle_or_tells_of_this_machine(logged: Logged) -> None:
    every = [path for path in logged.plain.rglob("*") if path.is_file()]
    files = [path for path in every if path.parent.name != "__pycache__"]  # of other tests
    assert {path.suffix for path in files} <= {".py", ".json", ".yaml", ".txt", ".safetensors", ""}
    described = (logged.plain / "MLmodel").read_text()
    assert "/tmp" not in described
    assert str(logged.files.parent) not in described
    original = (logged.files / "model.safetensors").read_bytes()
    assert (logged.plain / "artifacts/detector/model.safetensors").read_bytes() == original


def test_it_says_what_it_takes_and_gives(logged: Logged) -> None:
    model = Model.load(logged.plain)
    assert set(model.flavors) == {"python_function"}
    assert model.signature.inputs.to_dict() == [
        {"name": "image", "type": "binary", "required": True}
    ]
    assert {each["name"]: each["default"] for each in model.signature.params.to_dict()} == {
        "score_threshold": 0.3,
        "max_detections": 100,
        "upright": False,
    }
    assert model.signature.outputs.input_names() == [
        *("boxes", "scores", "category_ids", "category_names", "width", "height")
    ]
    example = model.load_input_example(str(logged.plain))
    found = mlflow.pyfunc.load_model(str(logged.plain)).predict(example)
    assert found[["width", "height"]].to_numpy().tolist() == [[96, 64]]


def test_what_it_needs_is_pinned(logged: Logged) -> None:
    needed = (logged.plain / "requirements.txt").read_text().split()
    assert all(str(Requirement(line).specifier).startswith("==") for line in needed)
    assert {Requirement(line).name for line in needed} == {
        *("mlflow", "numpy", "pandas", "pi-heif", "pillow", "pyarrow"),
        *("safetensors", "simplejpeg", "torch", "torchvision"),
    }
    assert "+" not in "".join(needed)


def test_one_with_masks_says_so() -> None:
    config = new_detector("maskrcnn_resnet50_fpn", image_size=64).config
    assert "masks" in _signature(config).outputs.input_names()
    named = {
        Requirement(each).name
        for each in _requirements(carried("cocopipe.tracking.served"), config)
    }
    assert "pycocotools" in named


def test_torch_itself_is_there_on_demand(logged: Logged) -> None:
    assert set(Model.load(logged.with_torch).flavors) == {"python_function", "pytorch"}
    module = mlflow.pytorch.load_model(str(logged.with_torch)).eval()
    images = [torch.rand(3, 60, 80, generator=torch.Generator().manual_seed(0))]
    with torch.inference_mode():
        (ours,), (theirs,) = load(logged.files, CPU).module(images), module(images)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert mlflow.pyfunc.load_model(str(logged.with_torch)).input_example is not None


def test_other_files_are_left_to_others(tmp_path: Path) -> None:
    assert not log_model(tmp_path, "m-0", "detector")
    (tmp_path / "model.safetensors").touch()
    assert not log_model(tmp_path, "m-0", "detector")


def test_no_trace_of_logging_is_left(logged: Logged) -> None:
    environment = yaml.safe_load((logged.plain / "MLmodel").read_text())["flavors"]
    assert environment["python_function"]["config"] == {"device": "auto", "local_files": False}
    assert not [path for path in sys.path if "cocopipe-" in path]
