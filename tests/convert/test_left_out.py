"""What is there and not taken is told, and what is missing is not taken for something else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cocopipe.coco.sniff import SAMPLE
from cocopipe.convert.notes import Note, as_text
from cocopipe.errors import UserError
from tests.coco_files import instances, official, picture, write_files, write_zip
from tests.converting import Converted, ids

Convert = Callable[..., Converted]


def test_what_no_document_lists_is_told(tmp_path: Path, converted: Convert) -> None:
    """Whether its folder is a split's own or that of all."""
    files = official([1, 2], "train") | official([3], "val")
    files |= {f"{where}.jpg": picture(9) for where in ("train/8", "val/a/9", "10")}
    conversion, *_ = converted(write_files(tmp_path / "own", files))
    assert conversion.unlisted == Note(
        "image files that no document lists, not taken", 2, "train/8.jpg, val/a/9.jpg"
    )
    assert conversion.ignored == ("./",)
    flat = {path.replace("train/", "").replace("val/", ""): data for path, data in files.items()}
    conversion, *_ = converted(write_files(tmp_path / "flat", flat))
    assert conversion.unlisted is not None
    assert conversion.unlisted.which == "10.jpg, 8.jpg, a/9.jpg"
    conversion, *_ = converted(write_files(tmp_path / "sub", files), subset=1)
    assert conversion.unlisted is None


def test_a_zip_in_a_zip_is_told(tmp_path: Path, converted: Convert) -> None:
    files = official([1, 2], "train") | official([3], "val")
    raw = write_files(tmp_path / "raw", files)
    write_zip(raw / "more.zip", {"train.zip": b"PK", "notes.json": {}})
    conversion, *_ = converted(raw)
    assert conversion.ignored == ("more.zip: train.zip (unpack it: it is in a zip)",)


def test_a_missing_picture_is_not_another_one(tmp_path: Path, converted: Convert) -> None:
    """Neither one of another split, nor one of another folder of its own."""
    files = {}
    for split, numbers in {"train": (1, 2), "val": (1, 3)}.items():
        document = instances(numbers)
        for image in document["images"]:
            image["file_name"] = f"{split}/{image['file_name']}"
        files[f"instances_{split}.json"] = document
    files |= {f"images/{name}.jpg": picture(5) for name in ("train/2", "val/1", "val/3")}
    raw = write_files(tmp_path / "raw", files)
    with pytest.raises(UserError, match=r"1 of 2 images of train are missing in .*train/1\.jpg"):
        converted(raw)
    (raw / "images/train/2.jpg").rename(raw / "images/val/2.jpg")
    conversion, *_ = converted(raw, on_missing="skip")
    assert conversion.skipped == ("train/train/1.jpg",)
    document = instances([1, 2])
    for image in document["images"]:
        image["file_name"] = f"one/{image['file_name']}"
    files = official([3], "val") | {"annotations/instances_train.json": document}
    files |= {"train/one/2.jpg": picture(2), "train/other/1.jpg": picture(7)}
    with pytest.raises(UserError, match=r"1 of 2 images of train are missing in .*one/1\.jpg"):
        converted(write_files(tmp_path / "folders", files))


def test_images_behind_many_absent_ones_are_found(tmp_path: Path, converted: Convert) -> None:
    files = official(range(1, SAMPLE + 30), "train") | official([999], "val")
    for number in range(1, SAMPLE + 10):
        del files[f"train/{number}.jpg"]
    conversion, train, _ = converted(write_files(tmp_path / "raw", files), on_missing="skip")
    assert len(conversion.skipped) == SAMPLE + 9
    assert len(ids(train)) == 20


def test_names_of_others_can_not_write_on_the_terminal() -> None:
    told = as_text([Note("images", 1, "a\x1b[2Jb\nc.jpg")])
    assert "\x1b" not in told
    assert told.count("\n") == 1
