"""What a detector begins with, from files and from torchvision."""

import json
import pickle
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as zoo
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights as SsdWeights
from torchvision.ops import FrozenBatchNorm2d

from cocopipe.detect.network.detector import ModelConfig, load
from cocopipe.detect.network.parts import Keypoints
from cocopipe.errors import UserError
from tests.detect.small import CPU, new_detector, own_hub, written
from tests.detect.splits import CATEGORIES

SSD = "ssdlite320_mobilenet_v3_large"
MOBILE = "fasterrcnn_mobilenet_v3_large_320_fpn"
PERSON_AND_CAT = [{"id": 17, "name": "cat"}, {"id": 1, "name": "person"}]


def outputs(module: nn.Module) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    with torch.no_grad():
        found: list[dict[str, Tensor]] = module.eval()([torch.rand(3, 90, 70)])
    return found


# From files


def test_a_folder_of_the_same_categories_keeps_its_head_and_size(tmp_path: Path) -> None:
    start = new_detector(image_size=96, seed=1)
    written(start, tmp_path / "model")
    again = new_detector(weights=tmp_path / "model", categories=CATEGORIES[::-1], seed=2)
    assert again.config.labels == start.config.labels == {7: 1, 3: 2}
    assert again.config.min_size == 96
    assert all(
        torch.equal(part, start.module.state_dict()[name])
        for name, part in again.module.state_dict().items()
    )


def test_a_folder_of_other_categories_gives_all_but_the_outputs(tmp_path: Path) -> None:
    start = new_detector(seed=1)
    written(start, tmp_path / "model")
    three = [*CATEGORIES, {"id": 9, "name": "green"}]
    other = new_detector(weights=tmp_path / "model", categories=three, seed=2)
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
    written(new_detector(), tmp_path / "model")
    with pytest.raises(UserError, match="are of fcos_tiny, not of ssdlite320"):
        new_detector(SSD, weights=tmp_path / "model")


def test_a_state_dict_saved_by_torch_is_taken(tmp_path: Path) -> None:
    start = new_detector(seed=1)
    torch.save({"model": start.module.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pth")
    again = new_detector(weights=tmp_path / "checkpoint.pth", seed=2)
    assert torch.equal(outputs(again.module)[0]["boxes"], outputs(start.module)[0]["boxes"])


@pytest.mark.parametrize("content", [b"", b"not a state dict", pickle.dumps(print, 2)])
def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"bad\.pth can't be read as a state dict"):
        new_detector(weights=tmp_path / "bad.pth")


def test_a_state_dict_of_another_architecture_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3).state_dict(), tmp_path / "linear.pth")
    torch.save({"model": 3}, tmp_path / "number.pth")
    with pytest.raises(UserError, match="don't fit the architecture fcos_tiny"):
        new_detector(weights=tmp_path / "linear.pth")
    with pytest.raises(UserError, match="hold no state dict"):
        new_detector(weights=tmp_path / "number.pth")


# From torchvision: files of their names and layout in torch's cache, never downloaded


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    with own_hub(tmp_path) as checkpoints:
        yield checkpoints


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
        new_detector(SSD, weights="DEFAULT")
    message = str(caught.value)
    assert SsdWeights.COCO_V1.url in message
    assert str(hub / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth") in message
    assert "\n" not in message


def test_a_published_file_with_other_bytes_is_refused(
    hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its name has the beginning of its SHA-256; here it comes from a server of our own."""
    served = tmp_path / "served"
    served.mkdir()
    name = SsdWeights.COCO_V1.url.rpartition("/")[2]
    torch.save({"other": torch.zeros(1)}, served / name)
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        monkeypatch.setattr(
            SsdWeights.COCO_V1, "_value_", replace(SsdWeights.COCO_V1.value, url=url)
        )
        with pytest.raises(UserError, match="invalid hash value"):
            new_detector(SSD, weights="COCO_V1")
        server.shutdown()
    assert not list(hub.glob("*.pth"))


def test_coco_categories_keep_the_published_head(published: dict[str, Tensor]) -> None:
    detector = new_detector(SSD, weights="COCO_V1", categories=PERSON_AND_CAT)
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
    detector = new_detector(SSD, weights="DEFAULT", categories=categories)
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
    detector = new_detector(SSD, weights=moved, categories=PERSON_AND_CAT)
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

    detector = new_detector(MOBILE, weights="COCO_V1")
    frozen = [part for part in detector.module.modules() if isinstance(part, FrozenBatchNorm2d)]
    assert frozen
    assert not any(isinstance(part, nn.BatchNorm2d) for part in detector.module.modules())
    assert not all(weight.requires_grad for weight in detector.module.parameters())
    assert detector.config.frozen_norm_eps == frozen[0].eps

    written(detector, tmp_path / "model")
    expected = outputs(detector.module)
    loaded = load(tmp_path / "model", CPU)
    assert torch.equal(outputs(loaded.module)[0]["scores"], expected[0]["scores"])
    from_file = new_detector(MOBILE, weights=hub / weights.url.rpartition("/")[2])
    assert from_file.config.frozen_norm_eps is not None


# Keypoints


def test_weights_of_other_keypoints_give_all_but_their_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As COCO's of people do for another number of points."""
    torch.manual_seed(1)
    start = zoo.detection.keypointrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, num_keypoints=17
    ).state_dict()
    file = tmp_path / "people.pth"
    file.touch()
    monkeypatch.setattr("cocopipe.detect.network.weights.read", lambda _: start)
    person = {"id": 1, "name": "person", "keypoints": ["a", "b", "c"], "skeleton": [[1, 3]]}
    detector = new_detector("keypointrcnn_resnet50_fpn", categories=[person], weights=file)
    assert detector.config.keypoints == Keypoints(("a", "b", "c"), ((1, 3),))
    assert detector.config.labels == {1: 1}
    assert ModelConfig.from_dict(json.loads(json.dumps(asdict(detector.config)))) == detector.config
    after = detector.module.state_dict()
    other = {name for name, part in after.items() if part.shape != start[name].shape}
    layer = "roi_heads.keypoint_predictor.kps_score_lowres"
    assert other == {f"{layer}.weight", f"{layer}.bias"}
    same = after.keys() - other
    assert all(torch.equal(after[name], start[name]) for name in same)
    predictor = detector.module.roi_heads.keypoint_predictor
    assert predictor(torch.zeros(1, 512, 2, 2)).shape == (1, 3, 8, 8)


def test_a_configuration_of_before_keypoints_is_read() -> None:
    config = asdict(new_detector(image_size=64).config)
    del config["keypoints"]
    assert ModelConfig.from_dict(config).keypoints is None
