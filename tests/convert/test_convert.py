import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cocopipe.errors import UserError
from cocopipe.split.boxes import OddBoxes
from cocopipe.split.tables import documents, read_document, read_table
from tests.coco_files import (
    instances,
    official,
    picture,
    with_broken_tables,
    write_files,
    write_zip,
)
from tests.converting import (
    DOCUMENT,
    SOUND,
    file_of,
    ids,
    refusal,
)

Convert = Callable[..., Any]


def hashes(*splits: Path) -> dict[str, str]:
    return {
        f"{split.name}/{path.relative_to(split)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for split in splits
        for path in split.rglob("*")
        if path.is_file()
    }


def file_names(split: Path) -> dict[int, str]:
    tables = [read_table(split, name, ["image_id", "file_name"]) for name in documents(split)]
    return {row["image_id"]: row["file_name"] for each in tables for row in each.to_pylist()}


def share_of(original: dict[str, Any], image_ids: list[int]) -> dict[str, Any]:
    """What a document says of these images, by plain means."""
    kept = set(image_ids)
    share = original | {"images": [one for one in original["images"] if one["id"] in kept]}
    if "annotations" in original:
        share["annotations"] = [one for one in original["annotations"] if one["image_id"] in kept]
    return share


REAL = {
    "coco128": {"train": "annotations/{}_train2017.json", "images": "train2017"},
    "raccoon": {"train": "train/_annotations.coco.json", "images": "train"},
    "edge_cases/string_rle": {"train": "annotations/{}_val2017.json", "images": "images"},
    "coco_mini": {
        "train": "annotations/{}_train2017.json",
        "val": "annotations/{}_val2017.json",
    },
    "edge_cases/datumaro_coco_captions": {},
    "edge_cases/datumaro_coco_image_info": {},
    "edge_cases/datumaro_coco_instances": {},
    "edge_cases/datumaro_coco_person_keypoints": {},
    "edge_cases/datumaro_mmdet_coco": {},
    "edge_cases/datumaro_coco_roboflow": {
        "train": "train/_annotations.coco.json",
        "val": "val/_annotations.coco.json",
    },
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_nothing_of_real_data_is_lost(real_data: Path, converted: Convert, name: str) -> None:
    raw = real_data / name
    # The two images of string_rle are divided by this fraction.
    conversion, train, val = converted(raw, validation_fraction=0.45)
    fixed = {"train": "annotations/{}_train.json", "val": "annotations/{}_val.json"} | REAL[name]
    divided = "images" in fixed
    for split, key in ((train, "train"), (val, "train" if divided else "val")):
        for document in documents(split):
            path = raw / fixed[key].format(document)
            if not path.exists():  # the only one with boxes, whatever it is called
                (path,) = path.parent.glob(f"*_{split.name}.json")
            original = json.loads(path.read_text())
            assert read_document(split, document) == share_of(original, ids(split))
        for image_id, name in file_names(split).items():
            (path,) = raw.rglob(name)
            assert file_of(split, image_id) == path.read_bytes()
    if divided:
        assert sorted(ids(train) + ids(val)) == sorted(one["id"] for one in original["images"])
    assert conversion.skipped == conversion.ignored == ()
    json.dumps(asdict(conversion))


@pytest.mark.real_data
def test_same_bytes_for_any_worker_count(real_data: Path, converted: Convert) -> None:
    _, *one = converted(real_data / "coco128", workers=1)
    _, *two = converted(real_data / "coco128", workers=2)
    _, *many = converted(real_data / "coco128", workers=7)
    assert hashes(*one) == hashes(*two) == hashes(*many)


@pytest.mark.real_data
def test_a_zip_gives_the_bytes_of_its_folder(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    raw = real_data / "coco_mini"
    for split in ("train2017", "val2017"):
        files = {f"{split}/{path.name}": path.read_bytes() for path in (raw / split).iterdir()}
        write_zip(tmp_path / "zips" / f"{split}.zip", files)
    annotations = (raw / "annotations").iterdir()
    write_zip(
        tmp_path / "zips" / "annotations_trainval2017.zip",
        {f"annotations/{path.name}": path.read_bytes() for path in annotations},
    )
    _, *folder = converted(raw)
    _, *zipped = converted(tmp_path / "zips")
    assert hashes(*folder) == hashes(*zipped)


@pytest.mark.real_data
def test_a_real_export_without_its_images_is_one_error(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = real_data / "edge_cases" / "images_missing"
    message = r"instances_train2017\.json lists 600 pictures, and none was found: looked beside it"
    with pytest.raises(UserError, match=message):
        converted(source)
    (tmp_path / "raw" / "annotations").mkdir(parents=True)
    shutil.copy(source / "instances_train2017.json", tmp_path / "raw" / "annotations")
    write_files(tmp_path / "raw", {"train2017/other.jpg": picture(1)})
    with pytest.raises(UserError, match=message):
        converted(tmp_path / "raw", on_missing="skip")


def test_more_images_never_move_others_across(tmp_path: Path, converted: Convert) -> None:
    _, train, val = converted(write_files(tmp_path / "few", official(range(0, 200, 2))))
    _, more_train, more_val = converted(write_files(tmp_path / "many", official(range(200))))
    assert set(ids(train)) <= set(ids(more_train))
    assert set(ids(val)) <= set(ids(more_val))
    assert 0.2 < len(ids(more_val)) / 200 < 0.4
    _, _, fewer_val = converted(tmp_path / "many", validation_fraction=0.1)
    assert set(ids(fewer_val)) < set(ids(more_val))


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_a_division_leaves_no_side_empty(
    tmp_path: Path, converted: Convert, fraction: float
) -> None:
    write_files(tmp_path / "raw", official(range(4)))
    with pytest.raises(UserError, match="none of the 4 images of train falls to"):
        converted(tmp_path / "raw", validation_fraction=fraction)


def test_splits_are_told_by_their_names(tmp_path: Path, converted: Convert) -> None:
    files = official([1], "Train2017") | official([1, 2], "valid") | official([3], "test")
    conversion, train, val = converted(write_files(tmp_path / "raw", files))
    sources = {role: split.sources for role, split in conversion.splits.items()}
    assert sources == {"train": ("Train2017",), "val": ("valid",), "test": ("test",)}
    assert (ids(train), ids(val), ids(train.parent / "test")) == ([1], [1, 2], [3])
    assert conversion.ignored == ()


@pytest.mark.parametrize(
    ("categories", "message"),
    [
        ([{"id": 3, "name": "other"}], "category 3 is 'thing' in the one and 'other' in the other"),
        ([{"id": 4, "name": "thing"}], "'thing' is category 3 in the one and 4 in the other"),
    ],
)
def test_splits_whose_categories_contradict(
    tmp_path: Path, converted: Convert, categories: list[dict[str, Any]], message: str
) -> None:
    val = instances([2], categories=categories)
    val["annotations"][0]["category_id"] = categories[0]["id"]
    files = official([1], "train") | official([2], "val")
    write_files(tmp_path / "raw", files | {"annotations/instances_val.json": val})
    files_named = (
        r"annotations/instances_train\.json and annotations/instances_val\.json disagree: "
    )
    with pytest.raises(UserError, match=files_named + message):
        converted(tmp_path / "raw")


def test_a_split_may_list_more_categories(tmp_path: Path, converted: Convert) -> None:
    twice = [{"id": number, "name": "thing"} for number in (3, 4)]
    files = official([1], "train") | official([2], "val")
    files |= {"annotations/instances_val.json": instances([2], categories=twice)}
    _, _, val = converted(write_files(tmp_path / "raw", files))
    assert read_document(val, "instances")["categories"] == twice


def test_any_document_name_can_be_counted(tmp_path: Path, converted: Convert) -> None:
    from mlflow.utils.validation import _validate_metric_name  # slow, and nothing else needs it

    files = official([1, 2], "train") | official([3], "val")
    files |= {f"annotations/{name}_train.json": instances([1]) for name in ("person@kp", "images")}
    conversion, *_ = converted(write_files(tmp_path / "raw", files))
    metrics = conversion.metrics()
    assert metrics["train.images"] == metrics["train.annotations/instances"] == 2
    assert metrics["train.annotations/images"] == metrics["train.annotations/person_kp"] == 1
    for name in metrics:
        _validate_metric_name(name)


def test_panoptic_documents_are_ignored(tmp_path: Path, converted: Convert) -> None:
    panoptic = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [
            {"image_id": 1, "file_name": "1.png", "segments_info": [{"id": 7, "category_id": 3}]}
        ],
        "categories": [{"id": 3, "name": "thing", "isthing": 1}],
    }
    files = official([1], "train") | official([2], "val")
    files |= {"annotations/panoptic_train.json": panoptic}
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert conversion.ignored == ("annotations/panoptic_train.json",)
    assert documents(train) == ["instances"]
    (tmp_path / "raw" / "annotations" / "instances_train.json").unlink()
    with pytest.raises(UserError, match=r"train has only panoptic .* annotations/panoptic_train"):
        converted(tmp_path / "raw")


@pytest.mark.parametrize("workers", [0, 1])
def test_no_workers_are_one(tmp_path: Path, converted: Convert, workers: int) -> None:
    write_files(tmp_path / "raw", official([1], "train") | official([2], "val"))
    _, train, val = converted(tmp_path / "raw", workers=workers)
    assert (ids(train), ids(val)) == ([1], [2])


def test_every_document_goes_with_its_images(tmp_path: Path, converted: Convert) -> None:
    captions = {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in (7, 3, 1)],
        "annotations": [{"id": 1, "image_id": 7, "caption": "only captioned"}],
    }
    files = official([3, 1], "train") | official([2], "val")
    files |= {"annotations/captions_train.json": captions, "train/7.jpg": picture(7)}
    conversion, train, val = converted(write_files(tmp_path / "raw", files))
    assert documents(train) == ["instances", "captions"]
    assert documents(val) == ["instances"]
    assert ids(train) == [1, 3, 7]
    assert read_document(train, "captions") == captions
    assert conversion.splits["train"].annotations == {"instances": 2, "captions": 1}


def test_a_subset_is_the_first_images_in_the_documents_order(
    tmp_path: Path, converted: Convert
) -> None:
    order = [5, 1, 9, 3, 2, 8]
    write_files(tmp_path / "raw", official(order, "train") | official([4, 6], "val"))
    _, train, val = converted(tmp_path / "raw", subset=3)
    assert ids(train) == [1, 5, 9]
    assert ids(val) == [4, 6]
    assert [one["id"] for one in read_document(train, "instances")["images"]] == [5, 1, 9]


def test_a_single_split_is_cut_to_the_subset_before_it_is_divided(
    tmp_path: Path, converted: Convert
) -> None:
    write_files(tmp_path / "raw", official(range(100, 0, -1)))
    _, train, val = converted(tmp_path / "raw", subset=20)
    assert sorted(ids(train) + ids(val)) == list(range(81, 101))


def test_missing_images_are_one_error_or_skipped(tmp_path: Path, converted: Convert) -> None:
    write_files(tmp_path / "raw", official(range(8), "train") | official([50], "val"))
    for number in range(7):
        (tmp_path / "raw" / "train" / f"{number}.jpg").unlink()
    message = r"7 of 8 images of train are missing in train/: 0\.jpg, .*4\.jpg and 2 more; add them"
    with pytest.raises(UserError, match=message):
        converted(tmp_path / "raw")
    conversion, train, _ = converted(tmp_path / "raw", on_missing="skip")
    assert conversion.skipped == tuple(f"train/{number}.jpg" for number in range(7))
    assert conversion.metrics()["skipped_images"] == 7
    assert ids(train) == [7]
    assert [one["image_id"] for one in read_document(train, "instances")["annotations"]] == [7]


def test_what_is_near_a_missing_image_is_said(tmp_path: Path, converted: Convert) -> None:
    files = official([1, 2], "train") | official([3], "val")
    files["annotations/instances_train.json"]["images"][0]["file_name"] = "1.heic"
    message = r"1 of 2 images of train are missing in train/: 1\.heic \(there is 1\.jpg\); add"
    with pytest.raises(UserError, match=message):
        converted(write_files(tmp_path / "raw", files))


@pytest.mark.parametrize("zipped", [False, True])
def test_a_truncated_image_is_named(tmp_path: Path, converted: Convert, zipped: bool) -> None:
    files = official(range(40), "train") | official([50], "val")
    files["train/13.jpg"] = picture(13)[:-40]
    if zipped:
        write_zip(tmp_path / "raw" / "all.zip", files)
    else:
        write_files(tmp_path / "raw", files)
    with pytest.raises(UserError, match=r"image 13 of train, .*train/13\.jpg, is damaged"):
        converted(tmp_path / "raw")


def test_the_format_is_told_by_content(tmp_path: Path, converted: Convert) -> None:
    files = official([1], "train") | official([2], "val")
    files["train/1.jpg"] = picture(1, kind="PNG")
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    assert file_of(train, 1) == picture(1, kind="PNG")


def test_two_images_of_one_name(tmp_path: Path, converted: Convert) -> None:
    document = instances([1, 2])
    document["images"][1]["file_name"] = "./1.jpg"
    write_files(tmp_path / "raw", official([1, 2]) | {"annotations/instances_train.json": document})
    with pytest.raises(UserError, match=r"the images 1 and 2 of train are both \./1\.jpg"):
        converted(tmp_path / "raw")


def test_documents_that_disagree_about_an_image(tmp_path: Path, converted: Convert) -> None:
    captions = {"images": [{"id": 1, "file_name": "2.jpg"}], "annotations": []}
    write_files(tmp_path / "raw", official([1, 2]) | {"annotations/captions_train.json": captions})
    with pytest.raises(UserError, match=r"captions_train\.json: image 1 is 2\.jpg, but 1\.jpg in"):
        converted(tmp_path / "raw")


def test_odd_boxes_are_kept_and_counted(tmp_path: Path, converted: Convert) -> None:
    document = instances(range(5))
    boxes = [[float("nan"), 0, 1, 1], [0, 0, -1, 5], [15, 0, 10, 5], [0, 0, 20, 12], [0, 0, 1]]
    for annotation, box in zip(document["annotations"], boxes, strict=True):
        annotation["bbox"] = box
    files = official(range(5), "train") | official([9], "val")
    files["annotations/instances_train.json"] = json.dumps(document).encode()
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert conversion.splits["train"].odd_boxes == OddBoxes(not_finite=1, degenerate=1, outside=1)
    assert conversion.metrics()["train.boxes_degenerate"] == 1
    kept = [one["bbox"] for one in read_document(train, "instances")["annotations"]]
    assert kept[1:] == boxes[1:]


def test_file_names_may_be_nested_and_in_any_script(tmp_path: Path, converted: Convert) -> None:
    name = "día 1/🦝 x.jpg"
    document = instances([1])
    document["images"][0]["file_name"] = name
    files = official([2], "val") | {"annotations/instances_train.json": document}
    write_files(tmp_path / "raw", files | {f"train/{name}": picture(1)})
    _, train, _ = converted(tmp_path / "raw")
    assert file_names(train) == {1: name}
    assert file_of(train, 1) == picture(1)


@pytest.mark.parametrize("empty", ["train", "val"])
def test_a_role_without_images_is_refused(tmp_path: Path, converted: Convert, empty: str) -> None:
    other = {"train": "val", "val": "train"}[empty]
    files = official([], empty) | official([2], other) | {f"{empty}/unlisted.jpg": picture(1)}
    with pytest.raises(UserError, match=rf"^{empty} has no images, and is all there is for"):
        converted(write_files(tmp_path / "raw", files))


def test_a_test_split_may_be_empty(tmp_path: Path, converted: Convert) -> None:
    files = official([1], "train") | official([2], "val") | official([], "test")
    conversion, train, _ = converted(write_files(tmp_path / "raw", files))
    assert conversion.splits["test"].stored.images == 0
    assert read_document(train.parent / "test", "instances")["images"] == []


def test_another_annotated_size_is_listed_or_refused(converted: Convert, tmp_path: Path) -> None:
    files = official(range(5))
    files["annotations/instances_train.json"]["images"][2]["width"] = 7
    raw = write_files(tmp_path / "raw", files)
    conversion, *_ = converted(raw, validation_fraction=0.6)
    listed = [line for split in conversion.splits.values() for line in split.stored.mismatched]
    assert listed == ["2.jpg: annotated 7x12, stored 20x12"]
    with pytest.raises(UserError, match=r"1 images of .* have another size .* 2\.jpg: annotated"):
        converted(raw, validation_fraction=0.6, on_mismatch="error")


def test_decoding_refuses_what_headers_pass(converted: Convert, tmp_path: Path) -> None:
    files = official(range(5))
    files["train/1.jpg"] = with_broken_tables(files["train/1.jpg"])
    raw = write_files(tmp_path / "raw", files)
    converted(raw, validation_fraction=0.6)
    with pytest.raises(UserError, match=r"image 1 of train, train/1.jpg, is damaged"):
        converted(raw, validation_fraction=0.6, verify="decode")


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a.jpg", "./a.jpg"), ("a.jpg", ".//a.jpg")])
def test_two_images_of_one_name_are_named(tmp_path: Path, names: tuple[str, str]) -> None:
    document = instances([1, 2])
    for image, name in zip(document["images"], names, strict=True):
        image["file_name"] = name
    write_files(tmp_path / "raw", SOUND | {DOCUMENT: document, "train/a.jpg": picture(1)})
    assert f"the images 1 and 2 of train are both {names[1]}" in refusal(tmp_path / "raw")
