"""What Ultralytics would train from, against JSON, pycocotools and Pillow."""

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from cocopipe.errors import UserError
from cocopipe.export.yolo import YoloSplit, export_yolo
from cocopipe.split import tables
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted

Convert = Callable[..., Converted]


def exported(converted: Converted, out: Path) -> tuple[list[YoloSplit], Path]:
    out.mkdir()
    return export_yolo(converted[1:], out), out


def with_objects(*objects: dict[str, Any], **image: Any) -> dict[str, Any]:
    """A train split of one image, 20 x 12 pixels, with these objects of category 3."""
    document = instances([1])
    document["images"][0] |= image
    document["annotations"] = [
        {"id": number, "image_id": 1, "category_id": 3, **each}
        for number, each in enumerate(objects)
    ]
    return official([1]) | official([2], "val") | {"annotations/instances_train.json": document}


def lines(path: Path) -> list[list[float]]:
    return [[float(number) for number in line.split()] for line in path.read_text().splitlines()]


def labels_of(image: str) -> str:
    """As Ultralytics finds them (img2label_paths), for any path with an images folder."""
    return "/labels/".join(image.rsplit("/images/", 1)).rsplit(".", 1)[0] + ".txt"


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.real_data
def test_boxes_names_and_images_are_those_that_pycocotools_reads(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = real_data / "coco_mini"
    done, out = exported(converted(source), tmp_path / "out")
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert set(data) == {"train", "val", "names"}
    for split, folder in (("train", "train2017"), ("val", "val2017")):
        truth = COCO(source / f"annotations/instances_{folder}.json")
        names = {number: truth.cats[each]["name"] for number, each in enumerate(truth.getCatIds())}
        assert data["names"] == names
        images = sorted((out / data[split]).iterdir())
        assert [path.name for path in images] == sorted(
            image["file_name"] for image in truth.imgs.values()
        )
        for image in truth.imgs.values():
            path = out / data[split] / image["file_name"]
            assert path.read_bytes() == (source / folder / image["file_name"]).read_bytes()
            found = lines(Path(labels_of(str(path))))
            with Image.open(path) as opened:
                size = np.array(opened.size * 2)
            objects = truth.loadAnns(truth.getAnnIds([image["id"]], iscrowd=False))
            assert [data["names"][line[0]] for line in found] == [
                truth.cats[each["category_id"]]["name"] for each in objects
            ]
            for line, each in zip(found, objects, strict=True):
                cxcywh = np.array(line[1:]) * size
                xywh = [*(cxcywh[:2] - cxcywh[2:] / 2), *cxcywh[2:]]
                assert xywh == pytest.approx(each["bbox"], abs=1e-4)
                assert min(line) >= 0
                assert max(line[1:]) <= 1
    for each, folder in zip(done, ("train2017", "val2017"), strict=True):
        truth = COCO(source / f"annotations/instances_{folder}.json")
        crowds = sum(annotation["iscrowd"] for annotation in truth.anns.values())
        assert (each.images, each.crowds) == (len(truth.imgs), crowds)
        assert each.boxes == len(truth.anns) - crowds


@pytest.mark.real_data
def test_the_division_of_a_single_split_is_kept(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = converted(real_data / "raccoon")
    done, out = exported(source, tmp_path / "out")
    document = json.loads((real_data / "raccoon/train/_annotations.coco.json").read_text())
    assert sum(each.images for each in done) == len(document["images"])
    assert sum(each.boxes for each in done) == len(document["annotations"])
    for each, split in zip(done, source[1:], strict=True):
        listed = tables.read_table(split, "instances")["file_name"].to_pylist()
        assert files_below(out / "images" / each.split) == set(listed)
        assert files_below(out / "labels" / each.split) == {
            str(Path(name).with_suffix(".txt")) for name in listed
        }
    names = [category["name"] for category in document["categories"]]
    assert yaml.safe_load((out / "data.yaml").read_text())["names"] == dict(enumerate(names))


NAN, INFINITY = math.nan, math.inf


@pytest.mark.parametrize(
    ("box", "line", "count"),
    [
        ([5, 3, 10, 6], [0, 0.5, 0.5, 0.5, 0.5], {}),
        ([0, 0, 20, 12], [0, 0.5, 0.5, 1, 1], {}),
        ([12.3, 3, 7.7, 6], [0, 0.8075, 0.5, 0.385, 0.5], {}),  # 20.000000000000004 wide
        ([-2, 3, 6, 6], [0, 0.1, 0.5, 0.2, 0.5], {"clipped": 1}),
        ([15, 6, 50, 60], [0, 0.875, 0.75, 0.25, 0.5], {"clipped": 1}),
        ([-1e308, 0, 1.5e308, 12], [0, 0.5, 0.5, 1, 1], {"clipped": 1}),
        ([30, 3, 5, 5], None, {"degenerate": 1}),
        ([-9, 3, 5, 5], None, {"degenerate": 1}),
        ([5, 3, 0, 6], None, {"degenerate": 1}),
        ([5, 3, 10, -1], None, {"degenerate": 1}),
        ([NAN, 3, 10, 6], None, {"degenerate": 1}),
        ([5, 3, NAN, 6], None, {"degenerate": 1}),
        ([5, 3, INFINITY, 6], None, {"degenerate": 1}),
        ([5, 3, 10], None, {"without_box": 1}),
        ([5, 3, 10, None], None, {"without_box": 1}),
        ([], None, {"without_box": 1}),
        (None, None, {"without_box": 1}),
    ],
)
def test_boxes_that_are_not_quite_boxes(
    converted: Convert,
    tmp_path: Path,
    box: list[float] | None,
    line: list[float] | None,
    count: dict[str, int],
) -> None:
    files = with_objects({"bbox": box} if box is not None else {"segmentation": []})
    done, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    found = lines(out / "labels/train/1.txt")
    assert len(found) == (line is not None)
    for each in found:
        assert each == pytest.approx(line)
    assert done[0] == YoloSplit("train", images=1, boxes=len(found), **count)


def test_a_crowd_is_left_out_whatever_its_box(converted: Convert, tmp_path: Path) -> None:
    files = with_objects(
        {"bbox": [1, 1, 0, 0], "iscrowd": 1}, {"iscrowd": 1}, {"bbox": [1, 1, 2, 2], "iscrowd": 0}
    )
    done, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert len(lines(out / "labels/train/1.txt")) == 1
    assert done[0] == YoloSplit("train", images=1, boxes=1, crowds=2)


@pytest.mark.parametrize(
    ("image", "size"),
    [({}, (20, 12)), ({"width": 40, "height": 24}, (40, 24)), ({"width": 0}, (20, 12))],
)
def test_fractions_are_of_the_annotated_size_or_else_of_the_file(
    converted: Convert, tmp_path: Path, image: dict[str, int], size: tuple[int, int]
) -> None:
    files = with_objects({"bbox": [2, 3, 4, 6]})
    document = files["annotations/instances_train.json"]
    document["images"] = [{"id": 1, "file_name": "1.jpg"} | image]
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    width, height = size
    assert lines(out / "labels/train/1.txt") == [
        pytest.approx([0, 4 / width, 6 / height, 4 / width, 6 / height])
    ]


def test_an_image_without_objects_is_background(converted: Convert, tmp_path: Path) -> None:
    files = with_objects()
    done, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert (out / "labels/train/1.txt").read_bytes() == b""
    assert done[0] == YoloSplit("train", images=1)


def test_classes_have_one_number_in_all_splits(converted: Convert, tmp_path: Path) -> None:
    def category(number: int) -> dict[str, Any]:
        return {"id": number, "name": f"c{number}"}

    files = with_objects({"category_id": 7, "bbox": [1, 1, 2, 2]})
    files["annotations/instances_train.json"]["categories"] = [category(9), category(7)]
    val = files["annotations/instances_val.json"]
    val["categories"] = [category(7), category(5), category(9)]
    val["annotations"][0]["category_id"] = 5
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    names = yaml.safe_load((out / "data.yaml").read_text())["names"]
    assert names == {0: "c9", 1: "c7", 2: "c5"}
    assert lines(out / "labels/train/1.txt")[0][0] == 1
    assert lines(out / "labels/val/2.txt")[0][0] == 2


def test_names_with_odd_characters(converted: Convert, tmp_path: Path) -> None:
    names = [
        "yes",
        "null",
        "1.0",
        ": #",
        "猫 🐈",
        "a\nb",
        "'\"",
        "",
        " x ",
        "- y",
        "twice",
        "twice",
    ]
    files = with_objects()
    for split in ("train", "val"):
        files[f"annotations/instances_{split}.json"]["categories"] = [
            {"id": 3 + number, "name": name} for number, name in enumerate(names)
        ]
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    found = yaml.safe_load((out / "data.yaml").read_text(encoding="utf-8"))["names"]
    assert found == dict(enumerate([*names[:-2], "twice (13)", "twice (14)"]))


def test_file_names_with_folders_have_their_labels_where_they_are_looked_for(
    converted: Convert, tmp_path: Path
) -> None:
    names = ["a/1.jpg", "b/1.png", "images/2.jpg", "a/images/b/3.JPG", "./größe 猫.x.jpg"]
    document = instances(range(len(names)))
    for image, name in zip(document["images"], names, strict=True):
        image["file_name"] = name
    files = {f"train/{name}": picture(number) for number, name in enumerate(names)}
    files |= {"annotations/instances_train.json": document} | official([9], "val")
    _, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    images = sorted(
        str(path) for path in (out / "images/train").rglob("*") if path.suffix in (".jpg", ".JPG")
    )
    images.append(str(out / "images/train/b/1.png"))
    assert len(images) == len(names)
    for image in images:
        assert len(lines(Path(labels_of(image)))) == 1, image


@pytest.mark.parametrize("other", ["a.png", "./a.JPG", ".//a.jpeg"])
def test_two_images_for_one_label_file(converted: Convert, tmp_path: Path, other: str) -> None:
    document = instances([1, 2])
    for image, name in zip(document["images"], ["a.jpg", other], strict=True):
        image["file_name"] = name
    files = {"train/a.jpg": picture(1), f"train/{other}": picture(2)}
    files |= {"annotations/instances_train.json": document} | official([9], "val")
    source = converted(write_files(tmp_path / "raw", files))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"a\.jpg and .* share the label file labels/train/a\.txt"):
        export_yolo(source[1:], tmp_path / "out")
    assert files_below(tmp_path / "out") == set()


def turned(size: tuple[int, int]) -> bytes:
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", size).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_what_else_is_told(converted: Convert, tmp_path: Path) -> None:
    document = instances([1, 2, 3])
    for image, name in zip(document["images"], ["1.jpg", "2.gif", ".3.jpg"], strict=True):
        image["file_name"] = name
    captions = {"images": [{"id": 7, "file_name": "7.jpg"}], "annotations": []}
    files = {
        "annotations/instances_train.json": document,
        "annotations/captions_train.json": captions,
        "train/1.jpg": turned((20, 12)),
        "train/2.gif": picture(2, kind="GIF"),
        "train/.3.jpg": picture(3),
        "train/7.jpg": picture(7),
    }
    source = converted(write_files(tmp_path / "raw", files | official([9], "val")))
    done, out = exported(source, tmp_path / "out")
    assert done[0] == YoloSplit("train", images=3, boxes=3, unlisted=1, unseen=2, turned=1)
    assert done[1] == YoloSplit("val", images=1, boxes=1)
    assert not (out / "images/train/7.jpg").exists()


def test_progress_and_the_same_bytes_twice(converted: Convert, tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official(range(40)))
    steps: list[int] = []
    for out in ("one", "two"):
        _, train, val = converted(raw)
        (tmp_path / out).mkdir()
        export_yolo([train, val], tmp_path / out, advance=steps.append)
    assert sum(steps) == 80
    files = files_below(tmp_path / "one")
    assert len(files) == 81
    assert files == files_below(tmp_path / "two")
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_split_without_instances(converted: Convert, tmp_path: Path) -> None:
    captions = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}
    files = {"annotations/captions_train.json": captions, "train/1.jpg": picture(1)}
    source = converted(write_files(tmp_path / "raw", files | official([2], "val")))
    done, out = exported(source, tmp_path / "out")
    assert str(done[-1]) == "train, 1 images left out: it has no boxes, only captions"
    assert sorted(path.name for path in (out / "images").iterdir()) == ["val"]
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="no instances table, only captions"):
        export_yolo(source[1:2], tmp_path / "none")


def test_splits_that_mean_different_things_by_one_id(converted: Convert, tmp_path: Path) -> None:
    _, train, _ = converted(write_files(tmp_path / "one", with_objects()))
    files = with_objects()
    for split in ("train", "val"):
        files[f"annotations/instances_{split}.json"]["categories"][0]["name"] = "other"
    _, _, val = converted(write_files(tmp_path / "two", files))
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match=r"category 3 is 'thing' in .* and 'other' in"):
        export_yolo([train, val], tmp_path / "out")


def test_images_of_one_name_from_two_splits_of_the_source_are_both_there(
    converted: Convert, tmp_path: Path
) -> None:
    files = official([1, 2], "train_a") | official([1], "train_b") | official([3], "val")
    files["train_b/1.jpg"] = picture(11)
    done, out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert done[0].images == 3
    assert (out / "images/train/train_a/1.jpg").read_bytes() == picture(1)
    assert (out / "images/train/train_b/1.jpg").read_bytes() == picture(11)
    assert (out / "labels/train/train_b/1.txt").is_file()
    assert (out / "images/val/3.jpg").is_file()
