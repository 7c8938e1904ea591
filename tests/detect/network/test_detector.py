import importlib
import json
import pickle
import sys
from pathlib import Path

import pytest
import torch

from cocopipe.detect.network.detector import load, save
from cocopipe.errors import UserError
from tests.detect.small import CPU, new_detector, written

SSD = "ssdlite320_mobilenet_v3_large"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "yolo"}, "model 'yolo' is unknown: use one of .*fcos_tiny, .*ssd300"),
        ({"architecture": "keypointrcnn_resnet50_fpn"}, "needs keypoints"),
        ({"architecture": SSD, "image_size": 300}, "fixed input size: set image_size to null"),
        ({"categories": []}, "the dataset has no categories"),
        ({"weights": "DEFAULT"}, "'DEFAULT' are neither .* use none, or a path"),
        ({"weights": "no/such.pth"}, "'no/such.pth' are neither a path"),
    ],
)
def test_what_cannot_be_built_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        new_detector(**options)  # type: ignore[arg-type]


def test_fcos_tiny_sees_128_pixels_unless_told() -> None:
    own, told = new_detector().config, new_detector(image_size=96).config
    assert (own.min_size, own.max_size) == (128, 213)
    assert (told.min_size, told.max_size) == (96, 159)
    parameters = sum(weight.numel() for weight in new_detector().module.parameters())
    assert 1_400_000 < parameters < 1_600_000


def test_labels_follow_the_order_of_the_categories() -> None:
    config = new_detector().config
    assert config.labels == {7: 1, 3: 2}
    assert config.num_classes == 3


def test_the_seed_makes_the_weights_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = written(new_detector(seed=1), tmp_path / "first")
    assert torch.rand(1) == expected
    assert written(new_detector(seed=1), tmp_path / "again") == first
    assert written(new_detector(seed=2), tmp_path / "other")[0] != first[0]


def test_save_and_load_give_the_same_detector(tmp_path: Path) -> None:
    detector = new_detector(image_size=96)
    weights, config = written(detector, tmp_path / "model")
    loaded = load(tmp_path / "model", CPU)
    assert loaded.config == detector.config
    assert not loaded.module.training
    assert written(loaded, tmp_path / "again") == (weights, config)
    assert json.loads(config)["categories"][0] == {"label": 1, "id": 7, "name": "blue"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full, as Linux has it")
def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        save(new_detector(), tmp_path)


def test_a_pickle_opens_without_this_project(monkeypatch: pytest.MonkeyPatch) -> None:
    pickled = pickle.dumps(new_detector().module.eval())
    for name in [name for name in sys.modules if name.partition(".")[0] == "cocopipe"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cocopipe", None)  # from here on, to import it is an error
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("cocopipe.detect.network.fcos_tiny")
    module = pickle.loads(pickled)
    with torch.no_grad():
        (found,) = module([torch.rand(3, 64, 64)])
    assert set(found) == {"boxes", "labels", "scores"}
    assert not any(name.startswith("cocopipe.") for name in sys.modules)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "holds no config.json: give a folder that the train stage wrote"),
        ("config.json", "[", "isn't the configuration of a detector"),
        ("config.json", "{}", "isn't the configuration of a detector"),
        ("model.safetensors", None, "don't exist"),
        ("model.safetensors", "?", "can't be read as a state dict"),
    ],
)
def test_a_damaged_folder_is_refused(
    tmp_path: Path, file: str, content: str | None, message: str
) -> None:
    written(new_detector(), tmp_path / "model")
    path = tmp_path / "model" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "model", CPU)
