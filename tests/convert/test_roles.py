"""Splits of the source take roles, several may share one, and none is dropped in silence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocopipe.errors import UserError
from cocopipe.export.coco import export
from cocopipe.split.objects import ground_truth
from cocopipe.split.tables import read_document, read_table, sources, summary
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted, file_of, ids

Convert = Callable[..., Converted]


def exported(converted: Converted, out: Path) -> dict[str, Any]:
    out.mkdir()
    folder = converted[1].parent
    export([folder / role for role in ("train", "val", "test")], out)
    return {path.name: json.loads(path.read_text()) for path in (out / "annotations").iterdir()}


def test_a_test_split_is_kept_and_comes_back(tmp_path: Path, converted: Convert) -> None:
    files = official([1, 2], "train2017") | official([3], "val2017")
    files["annotations/image_info_test2017.json"] = {
        key: value for key, value in instances([4, 5]).items() if key != "annotations"
    }
    files |= {f"test2017/{number}.jpg": picture(number) for number in (4, 5)}
    found = converted(write_files(tmp_path / "raw", files))
    test = found[1].parent / "test"
    assert (found[0].splits["test"].sources, found[0].ignored) == (("test2017",), ())
    assert ids(test) == [4, 5]
    assert file_of(test, 5) == picture(5)
    documents = exported(found, tmp_path / "out")
    for name in ("instances_train2017", "instances_val2017", "image_info_test2017"):
        assert documents[f"{name}.json"] == files[f"annotations/{name}.json"]
    assert (tmp_path / "out/test2017/4.jpg").read_bytes() == picture(4)


def test_a_source_without_a_test_split_has_an_empty_one(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(tmp_path / "raw", official([1], "train") | official([2], "val"))
    found = converted(raw)
    test = found[1].parent / "test"
    assert summary(test, "instances")["images"] == 0
    assert ids(test) == []
    assert sources(test, "instances") == []
    assert not (test / "images").exists()
    assert set(exported(found, tmp_path / "out")) == {
        "instances_train.json",
        "instances_val.json",
    }


def test_roles_are_told_where_names_do_not(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(tmp_path / "raw", official([1], "a") | official([2], "b"))
    with pytest.raises(UserError, match=r"none of them is for training: .* convert.splits: \{a: "):
        converted(raw)
    conversion, train, val = converted(raw, splits={"b": "train", "a": "val"})
    assert (ids(train), ids(val)) == ([2], [1])
    assert conversion.ignored == ()
    with pytest.raises(UserError, match=r"convert\.splits names c, which .* has not: it has a, b"):
        converted(raw, splits={"c": "train"})


def test_a_split_without_a_role_is_said(tmp_path: Path, converted: Convert) -> None:
    files = official([1], "train") | official([2], "val") | official([3], "holdout")
    conversion, *_ = converted(write_files(tmp_path / "raw", files))
    assert conversion.ignored == ("holdout (convert.splits can give it a role)",)


def test_splits_that_share_a_role_come_back_each(tmp_path: Path, converted: Convert) -> None:
    """As tools number them: each from the same id on."""
    files = official([1, 2, 3], "train_a") | official([1, 2], "train_b") | official([1], "val")
    other = files["annotations/instances_train_b.json"]
    other["images"][0] |= {"license": 4, "width": 20.5}
    other["annotations"][1]["note"] = "ours"
    other["info"] = {"year": 2020}
    for number in (1, 2):
        files[f"train_b/{number}.jpg"] = picture(10 + number)
    found = converted(write_files(tmp_path / "raw", files))
    conversion, train, _ = found
    assert conversion.splits["train"].sources == ("train_a", "train_b")
    assert conversion.splits["train"].annotations == {"instances": 5}
    assert conversion.renumbered == ("train_b",)
    table = read_table(train, "instances")
    assert len({*table["image_id"].to_pylist()}) == 5
    truth = ground_truth(train)
    assert {each["image_id"] for each in truth["annotations"]} == {
        each["id"] for each in truth["images"]
    }
    for split in ("train_a", "train_b"):
        name = f"instances_{split}.json"
        assert read_document(train, "instances", split) == files[f"annotations/{name}"]
    with pytest.raises(UserError, match="has instances of train_a, train_b: name one"):
        read_document(train, "instances")
    documents = exported(found, tmp_path / "out")
    for split in ("train_a", "train_b", "val"):
        name = f"instances_{split}.json"
        assert documents[name] == files[f"annotations/{name}"]
    assert (tmp_path / "out/train_b/1.jpg").read_bytes() == picture(11)
    assert (tmp_path / "out/train_a/1.jpg").read_bytes() == picture(1)


def test_ids_that_differ_are_kept(tmp_path: Path, converted: Convert) -> None:
    files = official([1, 2], "train_a") | official([7], "train_b") | official([9], "val")
    files["annotations/instances_train_b.json"]["annotations"][0]["id"] = 7
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert ids(train) == [1, 2, 7]
    assert conversion.renumbered == ()


def test_ids_without_room_for_others(tmp_path: Path, converted: Convert) -> None:
    large = 2**62
    files = official([large], "train_a") | official([large], "train_b") | official([9], "val")
    with pytest.raises(UserError, match="image ids are the same in splits that take one role, and"):
        converted(write_files(tmp_path / "raw", files))


def test_trainval_is_not_for_training_where_train_and_val_are_there(
    tmp_path: Path, converted: Convert
) -> None:
    files = official(range(1, 9), "trainval2007") | official([9], "test2007")
    conversion, *_ = converted(write_files(tmp_path / "alone", files), validation_fraction=0.5)
    assert conversion.splits["train"].sources == ("trainval2007",)
    files |= official([1], "train2007") | official([2], "val2007")
    conversion, *_ = converted(write_files(tmp_path / "beside", files))
    assert conversion.splits["train"].sources == ("train2007",)
    assert conversion.ignored == ("trainval2007 (convert.splits can give it a role)",)


def test_ids_inside_fields_are_no_ids_of_images(tmp_path: Path, converted: Convert) -> None:
    """Of two splits with the same ids, each comes back with its own."""
    files = official([1, 2], "train_a") | official([1, 2], "train_b") | official([9], "val")
    for split in "ab":
        document = files[f"annotations/instances_train_{split}.json"]
        document["images"][0]["camera"] = {"id": 77}
        document["annotations"][0]["attributes"] = {"id": 5}
    for number in (1, 2):
        files[f"train_b/{number}.jpg"] = picture(10 + number)
    found = converted(write_files(tmp_path / "raw", files))
    documents = exported(found, tmp_path / "out")
    for split in "ab":
        name = f"instances_train_{split}.json"
        assert documents[name] == files[f"annotations/{name}"]
