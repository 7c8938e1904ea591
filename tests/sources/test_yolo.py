"""YOLO's labels as COCO: as tools lay them out, with what can't be known said."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from cocopipe.errors import UserError
from cocopipe.export.yolo import export_yolo
from cocopipe.sources.yolo import copy_yolo
from cocopipe.split.objects import ground_truth
from tests.coco_files import official, picture, write_files
from tests.converting import convert_into, ids

SIZE = (40, 20)
NAMES = {"names": ["cat", "dog"]}


def image(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    return picture(seed, size)


def text(*lines: str) -> bytes:
    return "\n".join(lines).encode()


def described(**content: Any) -> bytes:
    return yaml.safe_dump(NAMES | content).encode()


LINE = "1 0.5 0.5 0.25 0.5"
BOX = [15, 5, 10, 10]

ULTRALYTICS = {
    "data.yaml": described(path="../datasets/pets", train="images/train", val="images/val"),
    "images/train/a.jpg": image(1),
    "labels/train/a.txt": text(LINE),
    "images/val/deep/b.jpg": image(2),
    "labels/val/deep/b.txt": text(LINE),
}

LAYOUTS: dict[str, tuple[Mapping[str, bytes], dict[str, list[str]]]] = {
    "Ultralytics": (ULTRALYTICS, {"train": ["a.jpg"], "val": ["deep/b.jpg"]}),
    "Roboflow": (
        {
            "data.yaml": described(train="../train/images", val="../valid/images"),
            "train/images/a.jpg": image(1),
            "train/labels/a.txt": text(LINE),
            "valid/images/b.jpg": image(2),
            "valid/labels/b.txt": text(LINE),
        },
        {"train": ["a.jpg"], "val": ["b.jpg"]},
    ),
    "lists of images, as CVAT": (
        {
            "data.yaml": described(train="train.txt", path="."),
            "train.txt": text("data/images/train/a.jpg"),
            "images/train/a.jpg": image(1),
            "labels/train/a.txt": text(LINE),
        },
        {"train": ["images/train/a.jpg"]},
    ),
    "no YAML, folders of splits": (
        {
            "classes.txt": text("cat", "dog"),
            "images/train/a.jpg": image(1),
            "labels/train/a.txt": text(LINE),
            "images/valid/b.jpg": image(2),
            "labels/valid/b.txt": text(LINE),
        },
        {"train": ["a.jpg"], "val": ["b.jpg"]},
    ),
    "flat, as Label Studio": (
        {
            "classes.txt": text("cat", "dog"),
            "images/a.jpg": image(1),
            "labels/a.txt": text(LINE),
        },
        {"all": ["a.jpg"]},
    ),
    "beside the images, as labelImg": (
        {"classes.txt": text("cat", "dog"), "a.jpg": image(1), "a.txt": text(LINE)},
        {"all": ["a.jpg"]},
    ),
    "names by number": (
        {
            "data.yml": yaml.safe_dump({"names": {0: "cat", 1: "dog"}, "train": "images"}).encode(),
            "images/a.jpg": image(1),
            "labels/a.txt": text(LINE),
        },
        {"train": ["a.jpg"]},
    ),
}


def taken(source: Path, out: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The documents that are written, by split, and what is told."""
    out.mkdir()
    _, notes = copy_yolo(source, out)
    documents = {
        path.stem.removeprefix("instances_"): json.loads(path.read_text())
        for path in (out / "annotations").iterdir()
    }
    return documents, notes


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_tools(tmp_path: Path, layout: str) -> None:
    files, splits = LAYOUTS[layout]
    source = write_files(tmp_path / "source", files)
    documents, notes = taken(source, tmp_path / "out")
    assert {
        split: [each["file_name"] for each in document["images"]]
        for split, document in documents.items()
    } == splits
    assert notes == ()
    for split, document in documents.items():
        assert document["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        for one, its in zip(document["images"], document["annotations"], strict=True):
            assert (one["width"], one["height"]) == SIZE
            assert (its["image_id"], its["category_id"]) == (one["id"], 2)
            assert its["bbox"] == BOX
            assert (its["area"], its["iscrowd"]) == (100, 0)
            copied = (tmp_path / "out" / split / one["file_name"]).read_bytes()
            assert copied in files.values()


def objects(tmp_path: Path, *lines: str, **content: Any) -> tuple[list[dict], tuple[str, ...]]:
    files = {
        "data.yaml": described(**content),
        "images/a.jpg": image(1),
        "labels/a.txt": text(*lines),
    }
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    return documents["all"]["annotations"], notes


def test_an_outline(tmp_path: Path) -> None:
    (found,), _ = objects(tmp_path, "0 0.25 0.5 0.75 0.5 0.75 1")
    assert found["segmentation"] == [[10, 10, 30, 10, 30, 20]]
    assert (found["bbox"], found["area"]) == ([10, 10, 20, 10], 100)


def test_keypoints(tmp_path: Path) -> None:
    line = f"{LINE} 0.5 0.5 2 0 0 0"
    (found,), _ = objects(tmp_path, line, kpt_shape=[2, 3])
    assert found["bbox"] == BOX
    assert (found["keypoints"], found["num_keypoints"]) == ([20, 10, 2, 0, 0, 0], 1)


def test_what_is_no_label_is_left_out_and_said(tmp_path: Path) -> None:
    lines = (LINE, "", "cat 0.5 0.5 0.1 0.1", "0 0.5 0.5", "0 nan 0.5 0.1 0.1", f"{LINE} 0.9")
    found, notes = objects(tmp_path, *lines)
    assert [each["bbox"] for each in found] == [BOX, BOX]
    assert notes == (
        "3 lines that are no labels left out: labels/a.txt line 3, labels/a.txt line 4,"
        " labels/a.txt line 5",
        "1 confidences of predictions left out: labels/a.txt line 6",
    )


def test_classes_that_nothing_names(tmp_path: Path) -> None:
    files = {"images/a.jpg": image(1), "labels/a.txt": text(LINE), "images/b.jpg": image(2)}
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert [each["name"] for each in documents["all"]["categories"]] == ["0", "1"]
    assert notes == (
        "1 images without a label file, taken as without objects: b.jpg",
        "1 classes without names, called by their numbers: source",
    )


def test_a_picture_that_exif_turns_is_labelled_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", SIZE).save(buffer, "JPEG", exif=exif)
    files = {
        "classes.txt": text("cat", "dog"),
        "a.jpg": buffer.getvalue(),
        "a.txt": text(LINE),
    }
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    (one,) = documents["all"]["images"]
    assert (one["width"], one["height"]) == SIZE[::-1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"data.yaml": described(train="images/nowhere", val="images/val")},
            "that are not there: ",
        ),
        ({"data.yaml": b"names: ["}, r"data\.yaml is not YAML"),
        ({"data.yaml": b"names: cat"}, "names is no list of classes"),
        ({"labels/train/a.txt": text("7 0.5 0.5 0.1 0.1")}, "labels of class 7, of which no name"),
        ({"data.yaml": b"names: [cat, cat]"}, "has two classes called cat: rename one"),
        ({"images/train/a.jpg": b"none"}, r"a\.jpg is no image that can be read"),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(
    tmp_path: Path, change: dict[str, bytes], message: str
) -> None:
    source = write_files(tmp_path / "source", {**ULTRALYTICS, **change})
    with pytest.raises(UserError, match=message):
        taken(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"images/a.jpg": image(1)}, "has no YOLO labels: a text file for each image"),
        ({"labels/a.txt": text(LINE)}, "has no images for its YOLO labels: looked in any folder"),
        ({}, "is empty; put a YOLO dataset there, its labels and its images"),
    ],
)
def test_folders_that_are_no_such_dataset(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(UserError, match=message):
        taken(write_files(tmp_path / "source", files), tmp_path / "out")


def test_a_link_out_of_the_dataset_is_refused(tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", ULTRALYTICS)
    (tmp_path / "secret.txt").write_bytes(text(LINE))
    (source / "labels/train/a.txt").unlink()
    (source / "labels/train/a.txt").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(UserError, match="outside of the dataset's folder"):
        taken(source, tmp_path / "out")


def test_what_is_exported_comes_back(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official(range(1, 6)) | official([9], "val"))
    _, train, val = convert_into(raw, tmp_path / "data")
    (tmp_path / "yolo").mkdir()
    export_yolo([train, val], tmp_path / "yolo")
    taken(tmp_path / "yolo", tmp_path / "out")
    _, again, _ = convert_into(tmp_path / "out", tmp_path / "again")
    assert len(ids(again)) == 5
    truth, found = ground_truth(train), ground_truth(again)
    for one, other in zip(truth["annotations"], found["annotations"], strict=True):
        assert other["bbox"] == pytest.approx(one["bbox"], abs=1e-3)
    assert [each["name"] for each in found["categories"]] == ["thing"]
