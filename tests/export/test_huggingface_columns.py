from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

import cocopipe
from cocopipe.errors import UserError
from cocopipe.export import huggingface_columns
from tests.coco_files import instances, official, picture, write_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.real_data
def test_boxes_and_names_are_those_that_pycocotools_reads(
    real_data: Path, converted: Callable[..., Any]
) -> None:
    _, train, _ = converted(real_data / "coco_mini")
    dataset = cocopipe.load(str(train))
    truth = COCO(real_data / "coco_mini" / "annotations" / "instances_train2017.json")
    labels = dataset.features["objects"]["category"].feature
    assert dataset["image_id"] == sorted(truth.imgs)
    for row in dataset.select_columns(["image_id", "objects"]):
        objects = row["objects"]
        expected = truth.imgToAnns[row["image_id"]]
        assert objects["id"] == [one["id"] for one in expected]
        assert objects["bbox"] == [one["bbox"] for one in expected]
        assert objects["area"] == [one["area"] for one in expected]
        assert objects["iscrowd"] == [bool(one["iscrowd"]) for one in expected]
        names = [truth.cats[one["category_id"]]["name"] for one in expected]
        assert labels.int2str(objects["category"]) == names
    first = dataset[0]
    assert first["image"].size == (first["width"], first["height"])


def test_images_of_other_documents_are_left_out(
    tmp_path: Path, converted: Callable[..., Any]
) -> None:
    captions = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": []}
    files = official([3, 9], "train") | official([2], "val")
    files |= {"annotations/captions_train.json": captions, "train/7.jpg": picture(7)}
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    dataset = huggingface_columns.load(train)
    assert dataset["image_id"] == [3, 9]
    assert dataset["objects"][1]["category"] == [0]


def test_categories_that_share_a_name_are_told_apart(
    tmp_path: Path, converted: Callable[..., Any]
) -> None:
    document = instances([1])
    document["categories"] += [{"id": 8, "name": "thing"}, {"id": 9, "name": "other"}]
    files = official([1], "train") | official([2], "val")
    files["annotations/instances_train.json"] = document
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    names = huggingface_columns.load(train).features["objects"]["category"].feature.names
    assert names == ["thing (3)", "thing (8)", "other"]


def test_a_split_without_instances(tmp_path: Path, converted: Callable[..., Any]) -> None:
    captions = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}
    files = {"annotations/captions_train.json": captions, "train/1.jpg": picture(1)}
    files |= official([2], "val")
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    with pytest.raises(UserError, match="no instances table, only captions"):
        huggingface_columns.load(train)
