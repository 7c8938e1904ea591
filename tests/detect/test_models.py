import json
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as zoo
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights as SsdWeights
from torchvision.ops import FrozenBatchNorm2d

from cocopipe.detect.models import Detector, architectures, build, load, save
from cocopipe.errors import UserError
from tests.detect.splits import CATEGORIES

CPU = torch.device("cpu")
SSD = "ssdlite320_mobilenet_v3_large"
MOBILE = "fasterrcnn_mobilenet_v3_large_320_fpn"
PERSON_AND_CAT = [{"id": 17, "name": "cat"}, {"id": 1, "name": "person"}]


def make(
    architecture: str = "fcos_tiny",
    *,
    categories: list[dict[str, object]] | None = None,
    weights: str | Path = "none",
    image_size: int | None = None,
    seed: int = 0,
) -> Detector:
    return build(
        architecture,
        categories=CATEGORIES if categories is None else categories,
        weights=str(weights),
        image_size=image_size,
        seed=seed,
    )


def written(detector: Detector, folder: Path) -> tuple[bytes, bytes]:
    folder.mkdir()
    save(detector, folder)
    return (folder / "model.safetensors").read_bytes(), (folder / "config.json").read_bytes()


def outputs(module: nn.Module) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    with torch.no_grad():
        found: list[dict[str, Tensor]] = module.eval()([torch.rand(3, 90, 70)])
    return found


def test_names_are_torchvisions_and_fcos_tiny_without_keypoints() -> None:
    theirs = {name for name in zoo.list_models(module=zoo.detection) if "keypoint" not in name}
    assert set(architectures()) == theirs | {"fcos_tiny"}


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
        make(**options)  # type: ignore[arg-type]


def test_fcos_tiny_sees_128_pixels_unless_told() -> None:
    own, told = make().config, make(image_size=96).config
    assert (own.min_size, own.max_size) == (128, 213)
    assert (told.min_size, told.max_size) == (96, 159)
    parameters = sum(weight.numel() for weight in make().module.parameters())
    assert 1_400_000 < parameters < 1_600_000


def test_labels_follow_the_order_of_the_categories() -> None:
    config = make().config
    assert config.labels == {7: 1, 3: 2}
    assert config.num_classes == 3


def test_the_seed_makes_the_weights_and_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = written(make(seed=1), tmp_path / "first")
    assert torch.rand(1) == expected
    assert written(make(seed=1), tmp_path / "again") == first
    assert written(make(seed=2), tmp_path / "other")[0] != first[0]


def test_save_and_load_give_the_same_detector(tmp_path: Path) -> None:
    detector = make(image_size=96)
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
        save(make(), tmp_path)


def test_a_pickle_opens_without_this_project(tmp_path: Path) -> None:
    (tmp_path / "module.pkl").write_bytes(pickle.dumps(make().module.eval()))
    code = (
        "import pickle, sys, torch\n"
        "sys.path = [path for path in sys.path if not path.endswith('/src')]\n"
        f"module = pickle.load(open({str(tmp_path / 'module.pkl')!r}, 'rb'))\n"
        "assert set(module([torch.rand(3, 64, 64)])[0]) == {'boxes', 'labels', 'scores'}\n"
        "assert not any(name.startswith('cocopipe') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


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
    written(make(), tmp_path / "model")
    path = tmp_path / "model" / file
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=message):
        load(tmp_path / "model", CPU)


# Initial weights from files


def test_a_folder_of_the_same_categories_keeps_its_head_and_size(tmp_path: Path) -> None:
    start = make(image_size=96, seed=1)
    written(start, tmp_path / "model")
    again = make(weights=tmp_path / "model", categories=CATEGORIES[::-1], seed=2)
    assert again.config.labels == start.config.labels == {7: 1, 3: 2}
    assert again.config.min_size == 96
    assert all(
        torch.equal(part, start.module.state_dict()[name])
        for name, part in again.module.state_dict().items()
    )


def test_a_folder_of_other_categories_gives_all_but_the_outputs(tmp_path: Path) -> None:
    start = make(seed=1)
    written(start, tmp_path / "model")
    three = [*CATEGORIES, {"id": 9, "name": "green"}]
    other = make(weights=tmp_path / "model", categories=three, seed=2)
    assert other.config.labels == {7: 1, 3: 2, 9: 3}
    before = start.module.state_dict()
    changed = {
        name
        for name, part in other.module.state_dict().items()
        if not torch.equal(part, before[name])
    }
    assert changed == {f"head.classification_head.cls_logits.{kind}" for kind in ("weight", "bias")}
    other.module.train()(
        [torch.rand(3, 64, 64)],
        [{"boxes": torch.tensor([[1.0, 1, 30, 30]]), "labels": torch.tensor([3])}],
    )


def test_a_folder_of_another_architecture_is_refused(tmp_path: Path) -> None:
    written(make(), tmp_path / "model")
    with pytest.raises(UserError, match="are of fcos_tiny, not of ssdlite320"):
        make(SSD, weights=tmp_path / "model")


def test_a_state_dict_saved_by_torch_is_taken(tmp_path: Path) -> None:
    start = make(seed=1)
    torch.save({"model": start.module.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    again = make(weights=tmp_path / "checkpoint.pth", seed=2)
    assert torch.equal(outputs(again.module)[0]["boxes"], outputs(start.module)[0]["boxes"])


@pytest.mark.parametrize("content", [b"", b"not a state dict", pickle.dumps(print, 2)])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pth can't be read as a state dict"):
        make(weights=tmp_path / "bad.pth")


def test_a_state_dict_of_another_architecture_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "linear.pth")
    torch.save({"model": 3}, tmp_path / "number.pth")
    with pytest.raises(UserError, match="don't fit the architecture fcos_tiny"):
        make(weights=tmp_path / "linear.pth")
    with pytest.raises(UserError, match="hold no state dict"):
        make(weights=tmp_path / "number.pth")


# torchvision's weights: files of their names and layout in torch's cache, never downloaded


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    before = torch.hub.get_dir()
    torch.hub.set_dir(tmp_path / "hub")
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    yield tmp_path / "hub" / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture
def published(hub: Path) -> dict[str, Tensor]:
    torch.manual_seed(9)
    module = zoo.get_model(SSD, weights=None, weights_backbone=None, num_classes=91)
    state: dict[str, Tensor] = module.state_dict()
    torch.save(state, hub / SsdWeights.COCO_V1.url.rpartition("/")[2])
    return state


def test_weights_that_cannot_be_downloaded_are_an_error(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")  # the public internet, absent
    with pytest.raises(UserError) as caught:
        make(SSD, weights="DEFAULT")
    message = str(caught.value)
    assert SsdWeights.COCO_V1.url in message
    assert str(hub / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth") in message
    assert "\n" not in message


def test_coco_categories_keep_the_published_head(published: dict[str, Tensor]) -> None:
    detector = make(SSD, weights="COCO_V1", categories=PERSON_AND_CAT)
    assert detector.config.labels == {17: 17, 1: 1}
    assert detector.config.num_classes == 91
    state = detector.module.state_dict()
    assert all(torch.equal(part, state[name]) for name, part in published.items())


@pytest.mark.parametrize(
    "categories",
    [CATEGORIES, [{"id": 1, "name": "cat"}], [{"id": 12, "name": "N/A"}, {"id": 99, "name": "x"}]],
)
def test_other_categories_replace_the_published_head(
    published: dict[str, Tensor], categories: list[dict[str, object]]
) -> None:
    detector = make(SSD, weights="DEFAULT", categories=categories)
    assert list(detector.config.labels.values()) == list(range(1, len(categories) + 1))
    state = detector.module.state_dict()
    changed = {name for name, part in published.items() if part.shape != state[name].shape}
    assert changed == {
        f"head.classification_head.module_list.{level}.1.{kind}"
        for level in range(6)
        for kind in ("weight", "bias")
    }
    assert all(
        torch.equal(part, state[name]) for name, part in published.items() if name not in changed
    )
    assert outputs(detector.module)[0]["labels"].max() <= len(categories)


def test_a_published_file_may_lie_anywhere(
    tmp_path: Path, hub: Path, published: dict[str, Tensor]
) -> None:
    (file,) = hub.iterdir()
    moved = file.rename(tmp_path / "my.pth")
    detector = make(SSD, weights=moved, categories=PERSON_AND_CAT)
    assert detector.config.labels == {17: 17, 1: 1}
    assert outputs(detector.module)[0]["labels"].max() > 2


def test_frozen_norms_survive_saving(tmp_path: Path, hub: Path) -> None:
    weights = zoo.get_model_weights(MOBILE)["COCO_V1"]
    torch.manual_seed(9)
    module = zoo.get_model(MOBILE, weights=None, weights_backbone=None, num_classes=91)
    state = module.state_dict()
    for name in list(state):
        if name.endswith("num_batches_tracked"):  # as in the published file
            del state[name]
        elif name.endswith("running_mean"):
            state[name].uniform_(-1, 1)
    torch.save(state, hub / weights.url.rpartition("/")[2])

    detector = make(MOBILE, weights="COCO_V1")
    frozen = [part for part in detector.module.modules() if isinstance(part, FrozenBatchNorm2d)]
    assert frozen
    assert not any(isinstance(part, nn.BatchNorm2d) for part in detector.module.modules())
    assert not all(weight.requires_grad for weight in detector.module.parameters())
    assert detector.config.frozen_norm_eps == frozen[0].eps

    written(detector, tmp_path / "model")
    expected = outputs(detector.module)
    loaded = load(tmp_path / "model", CPU)
    assert torch.equal(outputs(loaded.module)[0]["scores"], expected[0]["scores"])
    from_file = make(MOBILE, weights=hub / weights.url.rpartition("/")[2])
    assert from_file.config.frozen_norm_eps is not None
