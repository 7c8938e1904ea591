"""`datasets` opens what was written, with pictures and names; pandas opens it too."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from cocopipe.convert import gathered, image_writer, table_writer
from cocopipe.errors import UserError
from cocopipe.export import huggingface_folder
from cocopipe.export.huggingface_columns import load as load_split
from cocopipe.export.huggingface_folder import HubSplit, export_hf
from cocopipe.split import images, tables
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted

if TYPE_CHECKING:
    from datasets import DatasetDict

Convert = Callable[..., Converted]
Load = Callable[[Path], "DatasetDict"]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Open a folder as any user would, but for where `datasets` keeps what it makes of it."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return lambda folder: datasets.load_dataset(str(folder))


def exported(converted: Converted, out: Path) -> tuple[list[HubSplit], Path]:
    out.mkdir()
    return export_hf(converted[1:], out), out


@pytest.mark.real_data
def test_pictures_boxes_and_names_are_those_of_the_source(
    real_data: Path, converted: Convert, load: Load, tmp_path: Path
) -> None:
    source = real_data / "coco_mini"
    done, out = exported(converted(source), tmp_path / "out")
    opened = load(out)
    assert list(opened) == ["train", "validation"]
    assert [each.split for each in done] == ["train", "validation"]
    for folder, dataset in zip(("train2017", "val2017"), opened.values(), strict=True):
        truth = COCO(source / f"annotations/instances_{folder}.json")
        labels = dataset.features["objects"]["category"].feature
        assert labels.names == [each["name"] for each in truth.dataset["categories"]]
        assert dataset["image_id"] == sorted(truth.imgs)
        for row in dataset:
            image = truth.imgs[row["image_id"]]
            expected = truth.imgToAnns[row["image_id"]]
            assert row["file_name"] == image["file_name"]
            assert (row["width"], row["height"]) == (image["width"], image["height"])
            with Image.open(source / folder / image["file_name"]) as original:
                assert np.array_equal(row["image"], original)
            objects = row["objects"]
            for field in ("id", "bbox", "area"):
                assert objects[field] == [each[field] for each in expected]
            assert objects["iscrowd"] == [bool(each["iscrowd"]) for each in expected]
            assert labels.int2str(objects["category"]) == [
                truth.cats[each["category_id"]]["name"] for each in expected
            ]


@pytest.mark.real_data
def test_it_is_what_load_gives(
    real_data: Path, converted: Convert, load: Load, tmp_path: Path
) -> None:
    source = converted(real_data / "coco128")
    _, out = exported(source, tmp_path / "out")
    opened = load(out)
    for split, name in zip(source[1:], ("train", "validation"), strict=True):
        direct = load_split(split)
        assert opened[name].features == direct.features
        assert opened[name].column_names == direct.column_names
        without_pictures = [each for each in direct.column_names if each != "image"]
        found = opened[name].select_columns(without_pictures)
        assert found[:] == direct.select_columns(without_pictures)[:]


def test_neither_needs_the_other(converted: Convert, load: Load, tmp_path: Path) -> None:
    _, out = exported(
        converted(write_files(tmp_path / "raw", official([1, 2]) | official([3], "val"))),
        tmp_path / "out",
    )
    card = (out / "README.md").read_text()
    files = yaml.safe_load(card.split("---\n")[1])["configs"][0]["data_files"]
    for each in files:
        assert list(out.glob(each["path"])), each
    assert [each["split"] for each in files] == ["train", "validation"]
    with_card = load(out)
    (out / "README.md").rename(tmp_path / "README.md")
    without = load(out)
    assert without["train"].features == with_card["train"].features
    assert without["train"]["image_id"] == with_card["train"]["image_id"] == [1, 2]
    assert without["validation"]["image_id"] == [3]
    assert without["train"][0]["image"].size == (20, 12)


def test_pandas_reads_it(converted: Convert, tmp_path: Path) -> None:
    files = official([1, 2]) | official([3], "val")
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    rows = pd.read_parquet(out / "data/train-00000-of-00001.parquet")
    assert list(rows) == ["image_id", "file_name", "width", "height", "image", "objects"]
    assert rows["image"][1] == {"bytes": picture(2), "path": "2.jpg"}
    assert rows["objects"][0]["bbox"].tolist()[0].tolist() == [1, 2, 3.5, 4]


def test_images_of_other_documents_are_left_out(
    converted: Convert, load: Load, tmp_path: Path
) -> None:
    others = (1, 5, 7, 12)
    captions = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in others],
        "annotations": [],
    }
    files = official([3, 6, 9]) | official([2], "val")
    files |= {"annotations/captions_train.json": captions}
    files |= {f"train/{number}.jpg": picture(number) for number in others}
    done, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert done[0] == HubSplit("train", images=3, objects=3, files=1, unlisted=4)
    rows = load(out)["train"]
    assert rows["image_id"] == [3, 6, 9]
    assert [each["id"] for each in rows["objects"]] == [[100], [101], [102]]


def test_many_files_and_row_groups(
    converted: Convert, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = instances(range(100))
    document["annotations"] = [
        {**each, "id": each["id"] * 10 + copy, "bbox": [copy, 0, each["image_id"], 1]}
        for each in document["annotations"]
        for copy in range(each["image_id"] % 4)
    ]
    captions = {"images": [{"id": 200, "file_name": "200.jpg"}], "annotations": []}
    files = official(range(100)) | official([2], "val")
    files |= {"annotations/instances_train.json": document}
    files |= {"annotations/captions_train.json": captions, "train/200.jpg": picture(200)}
    monkeypatch.setattr(image_writer, "ROW_GROUP", 3)
    monkeypatch.setattr(images, "ROW_GROUP", 3)
    monkeypatch.setattr(tables, "TABLE_ROW_GROUP", 7)
    monkeypatch.setattr(table_writer, "TABLE_ROW_GROUP", 7)
    monkeypatch.setattr(gathered, "GROUP", 7)
    monkeypatch.setattr(huggingface_folder, "FILE_BYTES", 30_000)
    source = converted(write_files(tmp_path / "raw", files), shard_mb=1)
    assert len(list((source[1] / "images").iterdir())) > 5
    done, out = exported(source, tmp_path / "out")
    count = done[0].files
    assert 2 < count < 20
    assert sorted(path.name for path in (out / "data").glob("train-*")) == [
        f"train-{number:05d}-of-{count:05d}.parquet" for number in range(count)
    ]
    rows = load(out)["train"]
    assert rows["image_id"] == list(range(100))
    for row in rows:
        number = row["image_id"]
        assert row["objects"]["bbox"] == [[copy, 0, number, 1] for copy in range(number % 4)]
    assert done[0].objects == len(document["annotations"])


def test_objects_without_fields_and_classes_in_all_splits(
    converted: Convert, load: Load, tmp_path: Path
) -> None:
    files = official([1]) | official([2], "val")
    train, val = (files[f"annotations/instances_{split}.json"] for split in ("train", "val"))
    train["annotations"] = [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2]}]
    val["categories"] = [{"id": 8, "name": "猫"}, {"id": 9, "name": "thing"}, *val["categories"]]
    val["annotations"][0]["category_id"] = 8
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    opened = load(out)
    labels = opened["train"].features["objects"]["category"].feature
    assert labels.names == ["thing (3)", "猫", "thing (9)"]
    assert opened["validation"].features == opened["train"].features
    assert opened["train"][0]["objects"] == {
        "id": [1], "bbox": [None], "category": [0], "area": [None], "iscrowd": [None],
    }  # fmt: skip
    assert opened["validation"][0]["objects"]["category"] == [1]


def test_a_split_without_an_image_in_instances(converted: Convert, tmp_path: Path) -> None:
    captions = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": []}
    files = official([1]) | official([], "val")
    files |= {"annotations/captions_val.json": captions, "val/7.jpg": picture(7)}
    source = converted(write_files(tmp_path / "raw", files))
    with pytest.raises(UserError, match=r"the instances of .*/val list no image"):
        exported(source, tmp_path / "out")


def test_progress_and_the_same_bytes_twice(converted: Convert, tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official(range(40)))
    steps: list[int] = []
    for out in ("one", "two"):
        _, train, val = converted(raw)
        (tmp_path / out).mkdir()
        export_hf([train, val], tmp_path / out, advance=steps.append)
    assert sum(steps) == 80
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert len(files) == 3
    for file in files:
        other = tmp_path / "two" / file.relative_to(tmp_path / "one")
        assert file.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("lost", ["first", "last", "all"])
def test_a_store_that_lacks_images(converted: Convert, tmp_path: Path, lost: str) -> None:
    raw = write_files(tmp_path / "raw", official(range(60)))
    source: Any = converted(raw, shard_mb=1)
    files = sorted((source[1] / "images").iterdir())
    for shard in {"first": files[:1], "last": files[-1:], "all": files}[lost]:
        shard.unlink()
    with pytest.raises(UserError, match="does not hold the images that the annotations list"):
        exported(source, tmp_path / "out")
