"""Values as tools write them, from a document to its tables and back."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cocopipe.convert.notes import Note
from cocopipe.errors import UserError
from cocopipe.split.objects import ground_truth, read_objects
from cocopipe.split.tables import read_document
from tests.coco_files import instances, official, write_files
from tests.converting import Converted, ids

Convert = Callable[..., Converted]
Json = dict[str, Any]


def changed(change: Callable[[Json], None], images: int = 4) -> Json:
    document = instances(range(1, 1 + images))
    change(document)
    return document


def every(kind: str, **values: Callable[[Any], Any]) -> Callable[[Json], None]:
    """Writes fields of all images or annotations in another way."""

    def change(document: Json) -> None:
        for entry in document[kind]:
            for name, written in values.items():
                entry[name] = written(entry[name])

    return change


def all_ids(written: Callable[[int], Any]) -> Callable[[Json], None]:
    def change(document: Json) -> None:
        every("images", id=written)(document)
        every("annotations", id=written, image_id=written, category_id=written)(document)
        every("categories", id=written)(document)

    return change


def texts(box: list[Any]) -> list[Any]:
    return [str(each) for each in box]


def named(box: list[Any]) -> Json:
    return dict(zip(("x", "y", "width", "height"), box, strict=True))


def types_of_ids(document: Json) -> list[type]:
    entries = [*document["images"], *document["annotations"], *document["categories"]]
    names = ("id", "image_id", "category_id")
    return [type(each[name]) for each in entries for name in names if name in each]


def without_crowd(document: Json) -> None:
    for each in document["annotations"]:
        del each["iscrowd"]


def by_address(document: Json) -> None:
    for each in document["images"]:
        each["coco_url"] = f"http://images.cocodataset.org/train2017/{each.pop('file_name')}"


CASES: dict[str, tuple[Callable[[Json], None], set[str]]] = {
    "boxes as text": (every("annotations", bbox=texts), {"bbox as text"}),
    "width and height as text": (
        every("annotations", bbox=lambda box: [*box[:2], *texts(box[2:])]),
        {"bbox as text"},
    ),
    "boxes as objects": (every("annotations", bbox=named), {"bbox as an object"}),
    "areas as text": (every("annotations", area=str), {"area as text"}),
    "ids as floats": (all_ids(float), {"id as 1.0", "image_id as 1.0", "category_id as 1.0"}),
    "ids as text": (all_ids(str), {"id as text", "image_id as text", "category_id as text"}),
    "flat polygons": (
        every("annotations", segmentation=lambda rings: rings[0]),
        {"segmentation as a flat list"},
    ),
    "no iscrowd": (without_crowd, set()),
    "iscrowd as false": (every("annotations", iscrowd=bool), {"iscrowd as true or false"}),
    "sizes as text": (
        every("images", width=str, height=str),
        {"width as text", "height as text"},
    ),
    "names in addresses": (by_address, {"file_name from coco_url"}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_means_one_thing_is_read_and_written_as_it_was(
    tmp_path: Path, converted: Convert, case: str
) -> None:
    change, told = CASES[case]
    document = changed(change)
    files = official(range(1, 5), "train") | official([9], "val")
    files["annotations/instances_train.json"] = document
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert read_document(train, "instances") == document
    assert types_of_ids(read_document(train, "instances")) == types_of_ids(document)
    assert json.dumps(read_document(train, "instances"), sort_keys=True).count('"') == (
        json.dumps(document, sort_keys=True).count('"')
    )
    found = {each.what: each.count for each in conversion.readings}
    assert {what.partition(",")[0] for what, count in found.items() if count % 4 == 0} == told
    assert len(found) == len(told)
    assert conversion.splits["train"].stored.mismatched == ()
    # All who read the tables see what a document with plain values would have said.
    truth = ground_truth(train)
    plain = changed(lambda _: None)
    assert truth["categories"][0]["id"] == 3
    for found, expected in zip(truth["annotations"], plain["annotations"], strict=True):
        for name in ("id", "image_id", "category_id", "bbox", "area"):
            assert found[name] == expected[name]
        assert not found.get("iscrowd")


def test_what_means_nothing_is_said_once_and_not_used(tmp_path: Path, converted: Convert) -> None:
    document = instances(range(1, 9))
    bad: list[Any] = [[1, 2, 3], {"x": 1}, "1,2,3,4", [None] * 4, 5, [1, 2, "a", 4], True]
    for annotation, box in zip(document["annotations"], bad, strict=False):
        annotation["bbox"] = copy.deepcopy(box)
    document["annotations"][7]["area"] = "large"
    files = official(range(1, 9), "train") | official([9], "val")
    files["annotations/instances_train.json"] = document
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert conversion.readings == (
        Note(
            "bbox that can't be read, kept and not used",
            7,
            "annotations 100, 101, 102, 103, 104 and 2 more of train",
        ),
        Note("area that can't be read, kept and not used", 1, "annotations 107 of train"),
    )
    assert read_document(train, "instances") == document
    objects = read_objects(train, "instances", ["bbox", "area"])
    assert objects.has_box.tolist() == [False] * 7 + [True]
    assert np.isnan(objects.areas[7])


def test_a_split_that_writes_ids_as_text_and_shares_its_role(
    tmp_path: Path, converted: Convert
) -> None:
    files = official([1, 2], "train_a") | official([1, 2], "train_b") | official([9], "val")
    all_ids(str)(files["annotations/instances_train_b.json"])
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    assert len(ids(train)) == 4
    for split in ("train_a", "train_b"):
        expected = files[f"annotations/instances_{split}.json"]
        assert read_document(train, "instances", split) == expected


@pytest.mark.parametrize(
    ("kind", "number", "message"),
    [
        ("images", "one", "image number 0 has the id 'one'; it must be an integer"),
        ("images", 1.5, r"image number 0 has the id 1\.5; it must be an integer"),
        ("annotations", True, "annotation number 0 has the id True; it must be an integer"),
        ("annotations", [1], r"annotation number 0 has the id \[1\]; it must be an integer"),
    ],
)
def test_ids_that_are_none(
    tmp_path: Path, converted: Convert, kind: str, number: Any, message: str
) -> None:
    files = official([1, 2], "train") | official([9], "val")
    files["annotations/instances_train.json"][kind][0]["id"] = number
    with pytest.raises(UserError, match=message):
        converted(write_files(tmp_path / "raw", files))


def test_two_ids_that_are_one_number(tmp_path: Path, converted: Convert) -> None:
    files = official([1, 2], "train") | official([9], "val")
    files["annotations/instances_train.json"]["images"][1]["id"] = "1"
    with pytest.raises(UserError, match="two image entries have the id 1; renumber one"):
        converted(write_files(tmp_path / "raw", files))


def test_one_order_of_notes_whatever_python_hashes(tmp_path: Path, converted: Convert) -> None:
    document = instances([1])
    document["annotations"][0] |= {"bbox": ["1", "2", "3", "4"], "area": "12", "iscrowd": False}
    files = official([1], "train") | official([2], "val")
    raw = write_files(tmp_path / "raw", files | {"annotations/instances_train.json": document})
    conversion, *_ = converted(raw)
    assert [each.what.partition(",")[0] for each in conversion.readings] == [
        "bbox as text",
        "area as text",
        "iscrowd as true or false",
    ]


def test_a_document_that_is_read_twice_is_counted_once(tmp_path: Path, converted: Convert) -> None:
    """One with a key twice is read as a whole, once its pieces have shown that."""
    document = changed(every("images", width=str))
    text = json.dumps(document)[:-1] + ', "info": {}, "info": {}}'
    files = official(range(1, 5), "train") | official([9], "val")
    files["annotations/instances_train.json"] = text.encode()
    conversion, *_ = converted(write_files(tmp_path / "raw", files))
    assert [each.count for each in conversion.readings] == [4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (every("images", id=lambda _: 2**64), "it must be an integer of 64 bits"),
        (every("images", file_name=lambda _: 12), "has the file_name 12, which is no text"),
    ],
)
def test_what_is_wrong_with_a_value_is_said(
    tmp_path: Path, converted: Convert, change: Callable[[Json], None], message: str
) -> None:
    files = official([1], "train") | official([9], "val")
    files["annotations/instances_train.json"] = changed(change, 1)
    with pytest.raises(UserError, match=message):
        converted(write_files(tmp_path / "raw", files))
