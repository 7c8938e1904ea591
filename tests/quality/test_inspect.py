import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image

from cocopipe.errors import UserError
from cocopipe.quality.inspect import inspect
from tests.coco_files import boxed

Convert = Callable[..., tuple[Path, Path]]


pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def inspected(train: Path, val: Path, out: Path, pictures: int = 4) -> dict[str, float]:
    out.mkdir()
    return inspect({"train": train, "val": val}, out, pictures=pictures)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.real_data
def test_the_report_of_real_data(real_data: Path, to_splits: Convert, tmp_path: Path) -> None:
    train, val = to_splits(real_data / "coco_mini")
    metrics = inspected(train, val, tmp_path / "one")
    assert metrics["train.images"] == 80
    assert metrics["val.annotations"] == 624
    assert metrics["val.crowd_share"] == pytest.approx(5 / 624)
    assert all(isinstance(value, float) for value in metrics.values())
    found = json.loads((tmp_path / "one" / "statistics.json").read_text())
    assert found["train"]["categories"][0]["name"] == "person"
    assert set(hashes(tmp_path / "one")) == {
        "statistics.json",
        "class_balance.png",
        "box_sizes.png",
        "pictures_train.png",
        "pictures_val.png",
    }
    for path in (tmp_path / "one").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 600
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        inspected(train, val, tmp_path / "two")
    assert hashes(tmp_path / "one") == hashes(tmp_path / "two")


@pytest.mark.parametrize("categories", [1, 41, 200])
def test_any_number_of_categories(splits_of: Convert, tmp_path: Path, categories: int) -> None:
    splits = splits_of({"train": boxed(range(40), categories), "val": boxed([1], categories)})
    metrics = inspected(*splits, tmp_path / "out")
    assert metrics["train.images_without_objects"] == 14


def test_splits_without_images_or_objects(splits_of: Convert, tmp_path: Path) -> None:
    documents = {"train": boxed([1]), "val": boxed([3, 6]), "test": boxed([])}
    train, val = splits_of(documents)
    metrics = inspected(train.parent / "test", val, tmp_path / "out")
    assert metrics["val.images"] == metrics["val.images_without_objects"] == 2


@pytest.mark.parametrize("side", [1e308, 1e160, 1e-160, 5e-324])
def test_boxes_of_any_size(splits_of: Convert, tmp_path: Path, side: float) -> None:
    train = boxed(range(1, 9))
    train["annotations"][0]["bbox"] = [side, side, side, side]
    train["annotations"][1]["bbox"] = [0, 0, 1e308, 1e-308]
    metrics = inspected(*splits_of({"train": train, "val": boxed([1])}), tmp_path / "out")
    assert metrics["train.boxes_degenerate"] == 0
    assert metrics["train.objects_large"] == (side > 1)
    found = json.loads((tmp_path / "out" / "statistics.json").read_text())
    assert found["train"]["box_width"]["maximum"] == 1e308


def test_a_damaged_picture_is_named(splits_of: Convert, tmp_path: Path) -> None:
    def without_tables(data: bytes) -> bytes:
        return data.replace(b"\xff\xdb", b"\xff\xef")

    splits = splits_of({"train": boxed([1]), "val": boxed([1])}, damage=without_tables)
    message = r"image 1 of .*train can't be decoded \(broken data.*\): replace it in the source"
    with pytest.raises(UserError, match=message):
        inspected(*splits, tmp_path / "out")


def test_without_instances(splits_of: Convert, tmp_path: Path) -> None:
    info = {"images": [{"id": 1, "file_name": "1.jpg"}]}
    splits = splits_of({"train": info, "val": info}, "image_info")
    with pytest.raises(UserError, match="no instances table, only image_info; detection needs"):
        inspected(*splits, tmp_path / "out")
