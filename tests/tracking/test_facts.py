import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlflow.types import DataType

from cocopipe.tracking.facts import facts
from tests.coco_files import instances, official, write_files


def test_facts_of_a_split(tmp_path: Path, converted: Callable[..., Any]) -> None:
    keypoints = instances([1, 2, 3])
    files = official([1, 2, 3], "train") | official([9], "val")
    files |= {"annotations/person_keypoints_train.json": keypoints}
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    found = facts(train)
    assert found is not None
    assert found["profile"] == {
        "images": 3,
        "annotations": 3,
        "categories": 1,
        "documents": "instances, person_keypoints",
    }
    assert {"name": "image_id", "type": "long"} in found["schema"]
    assert {"name": "objects", "type": "string"} in found["schema"]
    assert all(DataType[column["type"]] for column in found["schema"])
    json.dumps(found)


def test_nothing_else_has_facts(tmp_path: Path) -> None:
    assert facts(tmp_path) is None
    assert facts(tmp_path / "nothing") is None
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations").mkdir()
    assert facts(tmp_path) is None
