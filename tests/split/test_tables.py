import json
import math
import random
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from cocopipe.convert.columns import read
from cocopipe.errors import UserError
from cocopipe.split import tables
from tests.coco_documents import coco_documents
from tests.coco_files import InMemory, instances
from tests.converting import assert_comes_back, strictly_equal, write_table, written


def test_typed_columns_hold_what_readers_need(tmp_path: Path) -> None:
    document = instances([2, 1])
    document["annotations"] += [
        {
            "id": 5,
            "image_id": 2,
            "category_id": 3,
            "iscrowd": 1,
            "segmentation": {"size": [12, 20], "counts": [0, 240]},
        },
        {
            "id": 6,
            "image_id": 2,
            "category_id": 3,
            "segmentation": {"size": [12, 20], "counts": "0P7"},
            "keypoints": [1, 2, 2],
            "num_keypoints": 1,
            "bbox": [0, 0, 1, 1],
        },
    ]
    table = pq.read_table(written(tmp_path, document) / "annotations" / "instances.parquet")
    first, second = table.to_pylist()
    assert (first["image_id"], second["image_id"]) == (1, 2)
    assert (first["position"], second["position"]) == (1, 0)
    assert first["extra"] is None
    plain, runs, compressed = second["objects"]
    assert plain["bbox"] == [1.0, 2.0, 3.5, 4.0]
    assert plain["polygons"] == [[1.0, 2.0, 4.5, 2.0, 4.5, 6.0]]
    assert plain["iscrowd"] is False
    assert runs["rle"] == {"size": [12, 20], "counts": None, "runs": [0, 240]}
    assert runs["iscrowd"] is True
    assert runs["bbox"] is None
    assert compressed["rle"] == {"size": [12, 20], "counts": "0P7", "runs": None}
    assert compressed["keypoints"] == [1.0, 2.0, 2.0]
    assert compressed["num_keypoints"] == 1
    assert all(item["extra"] is None for item in second["objects"])


ODD_VALUES = [
    None,
    True,
    False,
    0,
    1,
    1.0,
    -3,
    2**31,
    2**53 + 1,
    2**63,
    10**40,
    0.1,
    -0.0,
    1e308,
    math.nan,
    math.inf,
    "",
    "text",
    "ünï¢ödé 漢字 🦝",
    "\ud800",
    "\x00",
    [],
    {},
    [1, 2, 3, 4],
    [1, 2, 3, 4.5],
    [1, 2, 3],
    [1, 2, 3, None],
    [1, 2, 3, True],
    [1, 2, 3, 2**53 + 1],
    [math.nan, 0, -1, math.inf],
    ["1", "2", "3", "4"],
    [[]],
    [[1, 2, 3, 4, 5, 6], []],
    [[1, 2], 3],
    [[True, 2]],
    {"size": [4, 5], "counts": "abc"},
    {"size": [4, 5], "counts": [1, 19]},
    {"size": [4, 5], "counts": []},
    {"size": [4, 5], "counts": [1.5]},
    {"size": [4, 5], "counts": [2**70]},
    {"size": [4.0, 5.0], "counts": "abc"},
    {"size": [4], "counts": "abc"},
    {"size": [4, 5], "counts": "abc", "more": 1},
    {"size": [4, 5]},
    {"counts": "abc"},
    {"size": None, "counts": None},
]


FIELDS = ["bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints", "caption"]


MADE_UP = ["position", "extra", "rle", "polygons", "attributes", "Ünknown", ""]


@pytest.mark.parametrize("value", ODD_VALUES, ids=lambda value: json.dumps(value)[:30])
def test_any_value_of_any_field_comes_back(tmp_path: Path, value: Any) -> None:
    for field in FIELDS + MADE_UP:
        document = instances([1, 2])
        document["annotations"][1][field] = value
        assert_comes_back(tmp_path, document)
    for field in ["width", "height", "license", "extra", "objects", "image_id"]:
        document = instances([1, 2])
        document["images"][0][field] = value
        assert_comes_back(tmp_path, document)
    document = instances([1], info=value, licenses=value, summary=value)
    document["categories"][0]["supercategory"] = value
    assert_comes_back(tmp_path, document)
    captions = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "a", "category_id": value}],
    }
    assert_comes_back(tmp_path, captions, "captions")


def test_orders_and_odd_ids_come_back(tmp_path: Path) -> None:
    chance = random.Random(0)
    image_ids = [0, -1, 2**40, -(2**63), 2**63 - 1, *range(5, 60)]
    document = instances(image_ids)
    document["annotations"] += [
        {"id": -number, "image_id": chance.choice(image_ids), "category_id": 3}
        for number in range(200)
    ]
    document["categories"] += [{"id": number, "name": f"c{number}"} for number in (9, 0, -4)]
    for items in document.values():
        chance.shuffle(items)
    assert_comes_back(tmp_path, document)


@pytest.mark.parametrize(
    "document",
    [
        {"images": []},
        {"images": [], "annotations": [], "categories": []},
        {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []},
    ],
)
def test_nearly_empty_documents_come_back(tmp_path: Path, document: dict[str, Any]) -> None:
    assert_comes_back(tmp_path, document)


def test_many_images_span_row_groups(tmp_path: Path) -> None:
    document = instances(range(tables.TABLE_ROW_GROUP + 100))
    assert_comes_back(tmp_path, document)
    path = tmp_path / "annotations" / "instances.parquet"
    assert pq.read_metadata(path).num_row_groups == 2


def test_an_absent_flag_is_no_crowd_and_true_is_one(tmp_path: Path) -> None:
    document = instances([1, 2])
    del document["annotations"][0]["iscrowd"]
    document["annotations"][1]["iscrowd"] = True
    rows = tables.read_table(written(tmp_path, document), "instances").to_pylist()
    assert [row["objects"][0]["iscrowd"] for row in rows] == [None, True]


def test_the_footer_tells_what_is_inside(tmp_path: Path) -> None:
    document = instances([4, 2])
    document["categories"].append({"id": 8, "name": "unused"})
    written(tmp_path, document)
    assert tables.summary(tmp_path, "instances") == {
        "document": "instances",
        "images": 2,
        "has_annotations": True,
        "annotations": 2,
        "per_category": {"3": 2, "8": 0},
    }
    assert tables.categories(tmp_path) == document["categories"]


def test_the_primary_document_comes_first(tmp_path: Path) -> None:
    for name in ("captions", "person_keypoints", "instances"):
        written(tmp_path, instances([1]), name)
    assert tables.documents(tmp_path) == ["instances", "captions", "person_keypoints"]


def test_a_document_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a converted split: run the convert stage first"):
        tables.read_table(tmp_path, "instances")
    written(tmp_path, instances([1]), "captions")
    message = "has no instances table, only captions; detection needs COCO instances"
    with pytest.raises(UserError, match=message):
        tables.categories(tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        "string_rle",
        "datumaro_coco_instances",
        "datumaro_coco_captions",
        "datumaro_coco_image_info",
        "datumaro_coco_person_keypoints",
        "datumaro_coco_roboflow",
        "datumaro_mmdet_coco",
    ],
)
def test_edge_cases_as_documents(real_data: Path, tmp_path: Path, name: str) -> None:
    found = sorted((real_data / "edge_cases" / name).rglob("*.json"))
    assert found
    for number, path in enumerate(found):
        document = read(InMemory(path.read_bytes(), path.name), name="some")
        assert document is not None
        split = tmp_path / str(number)
        split.mkdir()
        write_table(split, *document)
        assert strictly_equal(tables.read_document(split, "some"), json.loads(path.read_text()))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=coco_documents())
def test_any_document_comes_back(tmp_path_factory: Any, document: dict[str, Any]) -> None:
    split = tmp_path_factory.mktemp("split")
    parsed = read(InMemory(json.dumps(document).encode(), "it"), name="instances")
    assert parsed is not None
    write_table(split, *parsed)
    assert strictly_equal(tables.read_document(split, "instances"), document)
