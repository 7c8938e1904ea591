"""What the evaluate stage refuses before it loads a model."""

from pathlib import Path

import pytest

from cocopipe.errors import UserError
from cocopipe.stages.evaluate import require_truth
from tests.coco_files import instances, official, picture, write_files
from tests.converting import convert_into


def test_pictures_without_boxes_are_nothing_to_evaluate_by(tmp_path: Path) -> None:
    of_test = instances([7])
    del of_test["annotations"]
    files = official([1], "train") | official([2], "val")
    files |= {"annotations/image_info_test2017.json": of_test, "test2017/7.jpg": picture(7)}
    _, train, val = convert_into(write_files(tmp_path / "raw", files), tmp_path / "data")
    require_truth("val", val, "data/val")
    with pytest.raises(UserError) as caught:
        require_truth("test", train.with_name("test"), "data/test")
    assert str(caught.value) == (
        "data/test has no boxes to evaluate by, only image_info: set evaluate.split to one that"
        " has, or add them at the source"
    )
