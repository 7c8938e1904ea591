import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cocopipe.errors import UserError
from cocopipe.split.fields import OBJECT
from cocopipe.split.objects import Objects, read_objects
from tests.coco_files import instances
from tests.converting import written

NOTHING = dict.fromkeys(field.name for field in OBJECT)


def lists(*images: list[dict[str, object]]) -> pa.ListArray:
    rows = [[{**NOTHING, "position": 0, **one} for one in objects] for objects in images]
    return pa.array(rows, pa.list_(OBJECT))


TWO = {"id": 5, "bbox": [1, 2, 3, 4], "iscrowd": True, "area": 7.5}, {"id": 9, "bbox": None}


def test_columns_of_objects() -> None:
    objects = Objects(lists([], list(TWO), [{"id": 2, "bbox": [0, 0, math.inf, 1]}]))
    assert len(objects) == 3
    assert objects.counts.tolist() == [0, 2, 1]
    assert objects.image.tolist() == [1, 1, 2]
    assert objects.ids.tolist() == [5, 9, 2]
    assert objects.is_crowd.tolist() == [True, False, False]
    assert objects.has_box.tolist() == [True, False, True]
    boxes = [[1, 2, 3, 4], [math.nan] * 4, [0, 0, math.inf, 1]]
    assert np.array_equal(objects.boxes_xywh, boxes, equal_nan=True)
    assert np.array_equal(objects.areas, [7.5, math.nan, math.nan], equal_nan=True)


def test_of_a_part_of_a_table() -> None:
    objects = Objects(lists([{"id": 1}], list(TWO), [{"id": 3}]).slice(1, 1))
    assert objects.ids.tolist() == [5, 9]
    assert objects.image.tolist() == [0, 0]
    assert objects.boxes_xywh[0].tolist() == [1, 2, 3, 4]


def test_of_no_objects() -> None:
    for none in (lists(), lists([], [])):
        objects = Objects(none)
        assert len(objects) == len(objects.image) == len(objects.areas) == 0
        assert objects.boxes_xywh.shape == (0, 4)


def test_only_what_is_needed_is_read(tmp_path: Path) -> None:
    objects = read_objects(written(tmp_path, instances([4, 2])), "instances", ["id", "bbox"])
    assert objects.ids.tolist() == [101, 100]
    assert objects.boxes_xywh.tolist() == [[1, 2, 3.5, 4]] * 2
    assert [field.name for field in objects.rows.type] == ["id", "bbox"]
    with pytest.raises(UserError, match="has no captions table"):
        read_objects(tmp_path, "captions", ["id"])
