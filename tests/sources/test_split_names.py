from pathlib import PurePosixPath

import pytest

from cocopipe.sources.split_names import split_of


@pytest.mark.parametrize(
    ("folder", "split", "base"),
    [
        ("images/train", "train", "images/train"),
        ("images/train/cam1", "train", "images/train"),
        ("train/images/cam1", "train", "train/images"),
        ("Valid/images", "val", "Valid/images"),
        ("images/validation/cam1/day2", "val", "images/validation"),
        ("images/train2017/cam1", "train2017", "images/train2017"),
        ("train_set/cam1", "train_set", "train_set"),
        ("test_data/images/train", "train", "test_data/images/train"),
        ("train/test_cam", "train", "train"),
        ("train2017/test_cam", "train2017", "train2017"),
        ("obj_train_data/cam1", "train", "obj_train_data"),
        ("trains/cam1", "cam1", "trains/cam1"),
        ("cam1/images", "cam1", "cam1/images"),
        ("annotations", "all", "annotations"),
        (".", "all", "."),
    ],
)
def test_what_a_folder_tells(folder: str, split: str, base: str) -> None:
    assert split_of(PurePosixPath(folder)) == (split, PurePosixPath(base))
