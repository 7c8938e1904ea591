import re
import zipfile
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from cocopipe.coco.layout import open_raw
from cocopipe.errors import UserError
from cocopipe.sources.directory import copy_directory
from tests.coco.reading import DOC, JPG, read
from tests.coco_files import instances, official, picture, write_files, write_zip


@pytest.mark.parametrize(
    "files",
    [
        {"annotations/instances_val2017.json": DOC, "val2017/1.jpg": JPG},
        {"annotations/instances_val2017.json": DOC, "images/val2017/1.jpg": JPG},
        {"annotations/instances_val2017.json": DOC, "images/1.jpg": JPG},
        {"instances_val2017.json": DOC, "images/1.jpg": JPG},
        {"val2017/_annotations.coco.json": DOC, "val2017/1.jpg": JPG},
    ],
)
def test_layouts_of_files_and_of_one_zip_hold_the_same(tmp_path: Path, files: dict) -> None:
    write_files(tmp_path / "folder", files)
    write_zip(tmp_path / "zipped" / "data.zip", files, zipfile.ZIP_DEFLATED)
    for raw in (tmp_path / "folder", tmp_path / "zipped"):
        found = read(raw)
        assert list(found) == ["val2017"]
        documents, images = found["val2017"]
        assert documents == ["instances"]
        assert images["1.jpg"] == JPG


@pytest.mark.parametrize("member", ["val2017/1.jpg", "1.jpg"])
def test_official_zips_lie_beside_each_other(tmp_path: Path, member: str) -> None:
    write_zip(tmp_path / "val2017.zip", {member: JPG})
    documents = {f"annotations/instances_{split}.json": DOC for split in ("val2017", "train2017")}
    documents |= {"annotations/person_keypoints_val2017.json": DOC}
    write_zip(tmp_path / "annotations_trainval2017.zip", documents)
    assert read(tmp_path) == {"val2017": (["instances", "person_keypoints"], {"1.jpg": JPG})}
    with open_raw(tmp_path) as source:
        name = "annotations_trainval2017.zip: annotations/instances_train2017.json"
        assert source.ignored == (name,)


def test_annotations_in_a_folder_and_images_in_a_zip(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    assert read(tmp_path)["train"][1] == {"1.jpg": JPG}


def test_a_split_name_may_hold_underscores(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"annotations/person_keypoints_train_v2.json": DOC, "train_v2/a/1.jpg": JPG}
    )
    assert read(tmp_path) == {"train_v2": (["instances"], {"a/1.jpg": JPG})}


def test_flat_images_serve_every_document(tmp_path: Path) -> None:
    documents = {f"annotations/instances_{split}.json": DOC for split in ("train", "val")}
    write_files(tmp_path, documents | {"images/1.jpg": JPG})
    assert read(tmp_path) == dict.fromkeys(("train", "val"), (["instances"], {"1.jpg": JPG}))
    write_files(tmp_path, {"train/1.jpg": picture(2)})
    assert {name: images["1.jpg"] for name, (_, images) in read(tmp_path).items()} == {
        "train": picture(2),
        "val": JPG,
    }


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPG"])
def test_suffixes_of_images(tmp_path: Path, suffix: str) -> None:
    document = instances([1])
    document["images"][0]["file_name"] = f"1.{suffix}"
    write_files(tmp_path, {"annotations/instances_val.json": document, f"val/1.{suffix}": JPG})
    assert read(tmp_path)["val"][1] == {f"1.{suffix}": JPG}


def test_image_folder_without_document_is_reported(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]) | {"test/9.jpg": JPG})
    with open_raw(tmp_path) as source:
        assert source.ignored == ("test/",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no COCO annotations: expected a JSON file"),
        ({"train/1.jpg": JPG}, "has no COCO annotations"),
        (
            {"annotations/instances_train.json": DOC},
            r"instances_train\.json lists 1 picture, and none was found: looked beside",
        ),
        (
            {
                "annotations/instances_train.json": DOC,
                "train/_annotations.coco.json": DOC,
                "train/1.jpg": JPG,
            },
            "are both the instances of split train",
        ),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, files: dict, message: str) -> None:
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=message.replace("(", r"\(")), open_raw(tmp_path):
        pass


def test_missing_directory(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="nowhere is not a directory"),
        open_raw(tmp_path / "nowhere"),
    ):
        pass


def test_what_an_unclear_layout_is_told_to_write_works(tmp_path: Path) -> None:
    """The lines of the sentence, pasted into params.yaml, and given by ``-S``: all splits stay."""
    files = {
        "my data/valid/_annotations.coco.json": DOC,
        "my data/valid/1.jpg": JPG,
        "my data/annotations/instances_train.json": DOC,
        "my data/train/_annotations.coco.json": DOC,
        "my data/train/1.jpg": JPG,
    }
    source = write_files(tmp_path / "source", files)
    with pytest.raises(UserError) as caught, open_raw(source):
        pass
    lines = r"as (download\.directory\.splits: .*), or as dvc exp run -S '(.*)' -S '(.*)'$"
    told = re.search(lines, str(caught.value))
    assert told
    pasted = yaml.safe_load(told[1])["download.directory.splits"]
    params = tmp_path / "params.yaml"
    params.write_text("download:\n  directory:\n    splits: {}\n")
    apply_overrides(params, [told[2], told[3]])
    assert yaml.safe_load(params.read_text())["download"]["directory"]["splits"] == pasted
    (tmp_path / "raw").mkdir()
    copy_directory(source, tmp_path / "raw", splits=pasted)
    with open_raw(tmp_path / "raw") as found:
        assert [split.name for split in found.splits] == ["train", "valid"]
        assert list(found.splits[0].images) == ["1.jpg"]
