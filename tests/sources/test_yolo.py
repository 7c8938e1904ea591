"""YOLO's labels as COCO: as tools lay them out, with what can't be known said."""

import io
import json
import os
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


LAYOUTS |= {
    "folders in a split": (
        {
            "classes.txt": text("cat", "dog"),
            "images/train/cam1/1.jpg": image(1),
            "labels/train/cam1/1.txt": text(LINE),
            "images/val/cam1/2.jpg": image(2),
            "labels/val/cam1/2.txt": text(LINE),
        },
        {"train": ["cam1/1.jpg"], "val": ["cam1/2.jpg"]},
    ),
    "folders in images of a split": (
        {
            "classes.txt": text("cat", "dog"),
            "train/images/cam1/1.jpg": image(1),
            "train/labels/cam1/1.txt": text(LINE),
            "test/images/cam1/1.jpg": image(2),
            "test/labels/cam1/1.txt": text(LINE),
        },
        {"train": ["cam1/1.jpg"], "test": ["cam1/1.jpg"]},
    ),
    "several folders with images called alike": (
        {
            "data.yaml": described(train=["cam1/images", "cam2/images"]),
            "cam1/images/1.jpg": image(1),
            "cam1/labels/1.txt": text(LINE),
            "cam2/images/1.jpg": image(2),
            "cam2/labels/1.txt": text(LINE),
        },
        {"train": ["cam1/images/1.jpg", "cam2/images/1.jpg"]},
    ),
    "several folders with images called otherwise": (
        {
            "data.yaml": described(train=["cam1/images", "cam2/images"]),
            "cam1/images/1.jpg": image(1),
            "cam1/labels/1.txt": text(LINE),
            "cam2/images/2.jpg": image(2),
            "cam2/labels/2.txt": text(LINE),
        },
        {"train": ["1.jpg", "2.jpg"]},
    ),
    "an image that is listed twice": (
        {
            "data.yaml": described(train="train.txt"),
            "train.txt": text("./images/a.jpg", "images\\a.jpg"),
            "images/a.jpg": image(1),
            "labels/a.txt": text(LINE),
        },
        {"train": ["images/a.jpg"]},
    ),
    "texts with marks": (
        {
            "data.yaml": "names: [cat, dog]\ntrain: train.txt".encode("utf-16"),
            "train.txt": "images/a.jpg\r\n".encode("utf-16"),
            "images/a.jpg": image(1),
            "labels/a.txt": LINE.encode("utf-8-sig"),
        },
        {"train": ["images/a.jpg"]},
    ),
    "a list of classes with a mark": (
        {
            "classes.txt": "cat\ndog\n".encode("utf-8-sig"),
            "annotations/a.jpg": image(1),
            "annotations/a.txt": LINE.encode("utf-16"),
        },
        {"all": ["a.jpg"]},
    ),
    "paths that are elsewhere too": (
        {
            "data.yaml": described(train="/usr/share", val="."),
            "usr/share/a.jpg": image(1),
            "usr/share/a.txt": text(LINE),
        },
        {"train": ["a.jpg"], "val": ["usr/share/a.jpg"]},
    ),
    "classes beside the YAML": (
        {
            "data.yaml": b"nc: 2\ntrain: images",
            "classes.txt": text("cat", "dog"),
            "images/a.jpg": image(1),
            "labels/a.txt": text(LINE),
        },
        {"train": ["a.jpg"]},
    ),
    "names by numbers that are text": (
        {
            "data.yaml": b"names: {'0': cat, '1': dog}\ntrain: images\nval:\ntest: ~\nnc: 2",
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


def test_images_that_have_one_label_file_are_said(tmp_path: Path) -> None:
    files = {**ULTRALYTICS, "images/train/a.png": image(3), "images/train/a.dng": image(4)}
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert len(documents["train"]["annotations"]) == 2
    assert notes == (
        "1 images of kinds that are not read left out: images/train/a.dng",
        "1 images with the label file of another one, each with its objects: images/train/a.png",
    )


def test_images_that_are_called_alike_are_all_converted(tmp_path: Path) -> None:
    files, _ = LAYOUTS["several folders with images called alike"]
    taken(write_files(tmp_path / "source", files), tmp_path / "out")
    _, train, val = convert_into(tmp_path / "out", tmp_path / "data")
    assert sorted(ids(train) + ids(val)) == [1, 2]


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


def test_a_turned_box_is_the_outline_of_its_corners(tmp_path: Path) -> None:
    (found,), _ = objects(tmp_path, "0 0.5 0 0.75 0.5 0.5 1 0.25 0.5")
    assert found["segmentation"] == [[20, 0, 30, 10, 20, 20, 10, 10]]
    assert (found["bbox"], found["area"]) == ([10, 0, 20, 20], 200)


def test_what_is_no_label_is_left_out_and_said(tmp_path: Path) -> None:
    wrong = ("cat 0.5 0.5 0.1 0.1", "0 0.5 0.5", "0 nan 0.5 0.1 0.1")
    more = ("1.5 0.5 0.5 0.1 0.1", "1e300 0.5 0.5 0.1 0.1", "0 1e308 0.5 0.1 0.1")
    found, notes = objects(tmp_path, LINE, "", *wrong, *more, f"{LINE} 0.9")
    assert [each["bbox"] for each in found] == [BOX, BOX]
    assert notes == (
        "6 lines that are no labels left out: labels/a.txt line 3, labels/a.txt line 4,"
        " labels/a.txt line 5 and 3 more",
        "1 confidences of predictions left out: labels/a.txt line 9",
    )


def test_lines_without_the_keypoints_that_are_told_are_left_out_and_said(tmp_path: Path) -> None:
    lines = (LINE, f"{LINE} 0.5 0.5", f"{LINE} 0.5 0.5 2 0 0 0 1 1", f"{LINE} 0.5 0.5 2 0 0 0")
    found, notes = objects(tmp_path, *lines, kpt_shape=[2, 3])
    assert [len(each.get("keypoints", ())) for each in found] == [0, 6]
    assert notes == (
        "2 lines that do not have the keypoints of kpt_shape left out: labels/a.txt line 2,"
        " labels/a.txt line 3",
    )


def test_classes_that_nothing_names(tmp_path: Path) -> None:
    files = {"images/a.jpg": image(1), "labels/a.txt": text(LINE), "images/b.jpg": image(2)}
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert [each["name"] for each in documents["all"]["categories"]] == ["0", "1"]
    assert notes == (
        "1 images without a label file, taken as without objects: b.jpg",
        "1 classes without names, called by their numbers: source",
    )


def sides(size: tuple[int, int], turn: int) -> bytes:
    """A picture that EXIF turns."""
    exif = Image.Exif()
    exif[0x0112] = turn
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("line", "told", "field", "sideways", "mirrored", "square"),
    [
        ("0 0.25 0.125 0.5 0.25", {}, "bbox", [0, 0, 10, 10], [20, 15, 20, 5], [0, 10, 5, 10]),
        (
            "0 0 0 1 0 1 1",
            {},
            "segmentation",
            [[0, 0, 20, 0, 20, 40]],
            [[40, 20, 0, 20, 0, 0]],
            [[0, 20, 0, 0, 20, 0]],
        ),
        (
            f"{LINE} 0.25 0.1 2 0 0 0",
            {"kpt_shape": [2, 3]},
            "keypoints",
            [5, 4, 2, 0, 0, 0],
            [30, 18, 2, 0, 0, 0],
            [2, 15, 2, 0, 0, 0],
        ),
    ],
    ids=["box", "outline", "keypoints"],
)
def test_labels_are_of_the_picture_as_exif_has_it_shown(
    tmp_path: Path,
    line: str,
    told: dict[str, Any],
    field: str,
    sideways: list[Any],
    mirrored: list[Any],
    square: list[Any],
) -> None:
    """And COCO has that frame where the size tells it; test_frames has all ways to turn."""
    names = ("mirrored", "sideways", "square")
    pictures = (sides(SIZE, 3), sides(SIZE, 6), sides((20, 20), 6))
    files = {
        "data.yaml": described(**told),
        **{f"images/{name}.jpg": data for name, data in zip(names, pictures, strict=True)},
        **{f"labels/{name}.txt": text(line) for name in names},
    }
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    document = documents["all"]
    sizes = [(each["width"], each["height"]) for each in document["images"]]
    assert sizes == [SIZE, SIZE[::-1], (20, 20)]
    assert [each[field] for each in document["annotations"]] == [mirrored, sideways, square]
    assert notes == (
        "2 images that EXIF turns, their labels moved to where they are stored: mirrored.jpg,"
        " square.jpg",
    )


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
        ({"data.yaml": described(train=5, val="images/val")}, "in its YAML that are not there: 5;"),
        ({"data.yaml": described(train={"a": "b"})}, "train is no folder, nor a list of folders"),
        ({"data.yaml": described(val=[["a"]])}, "val is no folder, nor a list of folders"),
        ({"data.yaml": b"names: [cat, [dog]]"}, "names is no list of classes"),
        ({"data.yaml": b"names: {a: cat}"}, "names is no list of classes"),
        ({"data.yaml": b'names: ["\\ud800"]'}, "names is no list of classes"),
        ({"data.yaml": described(nc=[2])}, r"data\.yaml: nc is no number of classes"),
        ({"data.yaml": described(path=["a"])}, r"data\.yaml: path is no folder"),
        ({"data.yaml": described(kpt_shape=17)}, "kpt_shape is no list of how many keypoints"),
        ({"data.yaml": described(kpt_shape=[17, 4])}, "kpt_shape is no list of how many"),
        ({"data.yaml": described(kpt_shape=[[1], 3])}, "kpt_shape is no list of how many"),
        ({"data.yaml": b"names: [caf\xe9]"}, r"data\.yaml is no text in UTF-8 \("),
        ({"labels/train/a.txt": b"\xe9"}, r"a\.txt is no text in UTF-8 \(.* at byte 0\): save it"),
        (
            {"data.yaml": described(train="train.txt"), "train.txt": b"\xe9.jpg"},
            r"train\.txt is no text in UTF-8",
        ),
        (
            {"data.yaml": described(train="train.txt"), "train.txt": b"images/c.jpg"},
            r"train\.txt lists images/c\.jpg, which is not there",
        ),
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


def test_a_name_that_is_not_unicode_is_refused(tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", ULTRALYTICS)
    path = source / "images/train" / os.fsdecode(b"\xff.jpg")
    try:
        path.write_bytes(image(3))
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(UserError, match=r"xff\.jpg' has a name that is not Unicode"):
        taken(source, tmp_path / "out")


def test_a_dataset_that_a_link_leads_to_is_found_by_the_path_that_it_states(tmp_path: Path) -> None:
    source = write_files(tmp_path / "source", ULTRALYTICS)
    (tmp_path / "link").symlink_to(source)
    places = {split: f"{tmp_path}/link/images/{split}" for split in ("train", "val")}
    (source / "data.yaml").write_bytes(described(path=str(tmp_path / "link"), **places))
    documents, _ = taken(tmp_path / "link", tmp_path / "out")
    assert {split: len(each["annotations"]) for split, each in documents.items()} == {
        "train": 1,
        "val": 1,
    }


def test_what_its_yaml_does_not_name_is_said(tmp_path: Path) -> None:
    files = {
        **ULTRALYTICS,
        "images/test/c.jpg": image(3),
        "labels/test/c.txt": text(LINE),
        "images/train/d.mpo": image(4),
        "labels/train/d.txt": text(LINE),
        "labels/train/e.txt": text(LINE),
        "labels/train/empty.txt": b"",
        "README.txt": b"0 1 2 3 apples: \xe9",
    }
    _, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert notes == (
        "1 images that its YAML does not name left out: images/test/c.jpg",
        "1 images of kinds that are not read left out: images/train/d.mpo",
        "1 label files without an image left out: labels/train/e.txt",
    )


@pytest.mark.parametrize(
    ("told", "note"),
    [
        (
            {"train": "images/train", "val": "images/val", "test": "../test/images"},
            "1 folders for testing that are not there left out: ../test/images",
        ),
        (
            {"train": "images/train", "val": "images/val", "test": "images/test"},
            "1 folders of its YAML that have no images: images/test",
        ),
        (
            {"train": "a", "val": "b"},
            "2 folders of its YAML that are not there, all images taken instead: a, b",
        ),
        ({"nc": 3}, "1 numbers of classes (nc) that are not how many are named: data.yaml"),
    ],
)
def test_what_its_yaml_names_otherwise_is_said(
    tmp_path: Path, told: dict[str, Any], note: str
) -> None:
    source = write_files(tmp_path / "source", {**ULTRALYTICS, "data.yaml": described(**told)})
    (source / "images/test").mkdir()
    documents, notes = taken(source, tmp_path / "out")
    assert (documents.keys(), notes) == ({"train", "val"}, (note,))


def test_a_folder_for_testing_is_not_another_s(tmp_path: Path) -> None:
    told = described(train="images/train", val="images/val", test="../test/images")
    source = write_files(tmp_path / "source", {**ULTRALYTICS, "data.yaml": told})
    documents, _ = taken(source, tmp_path / "out")
    assert documents.keys() == {"train", "val"}


def test_classes_are_called_as_they_are_written(tmp_path: Path) -> None:
    files = {
        "data.yaml": b"names: [no, 1.0, 010]",
        "images/a.jpg": image(1),
        "labels/a.txt": text(LINE),
    }
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert [each["name"] for each in documents["all"]["categories"]] == ["no", "1.0", "010"]


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
