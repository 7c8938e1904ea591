"""Pascal VOC's labels as COCO."""

import json
from pathlib import Path
from typing import Any

import pytest

from cocopipe.errors import UserError
from cocopipe.sources.voc import copy_voc
from tests.coco_files import picture, write_files
from tests.converting import convert_into, ids

SIZE = (40, 20)


def label(*objects: str) -> bytes:
    inner = "".join(f"<object>{each}</object>" for each in objects)
    return f"<annotation><filename>x.jpg</filename>{inner}</annotation>".encode()


def thing(name: str, box: tuple[Any, ...] = (1, 1, 10, 20), more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<name>{name}</name>{more}<bndbox>{inner}</bndbox>"


KIT = {
    "VOC2012/Annotations/a.xml": label(thing("dog"), thing("cat", (5, 6, 8, 9))),
    "VOC2012/Annotations/b.xml": label(thing("cat", more="<difficult>1</difficult>")),
    "VOC2012/Annotations/c.xml": label(),
    "VOC2012/JPEGImages/a.jpg": picture(1, SIZE),
    "VOC2012/JPEGImages/b.jpg": picture(2, SIZE),
    "VOC2012/JPEGImages/c.jpg": picture(3, SIZE),
    "VOC2012/ImageSets/Main/train.txt": b"a\n",
    "VOC2012/ImageSets/Main/val.txt": b"b\nc\n",
    "VOC2012/ImageSets/Main/trainval.txt": b"a\nb\nc\n",
    "VOC2012/ImageSets/Main/cat_train.txt": b"a -1\n",
    "VOC2012/SegmentationClass/a.png": picture(4, SIZE, "PNG"),
}


def taken(source: Path, out: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    out.mkdir()
    _, notes = copy_voc(source, out)
    documents = {
        path.stem.removeprefix("instances_"): json.loads(path.read_text())
        for path in (out / "annotations").iterdir()
    }
    return documents, notes


def test_the_development_kit(tmp_path: Path) -> None:
    documents, notes = taken(write_files(tmp_path / "source", KIT), tmp_path / "out")
    train, val = documents["train"], documents["val"]
    assert train["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert [each["file_name"] for each in train["images"]] == ["a.jpg"]
    assert [each["file_name"] for each in val["images"]] == ["b.jpg", "c.jpg"]
    first, second = train["annotations"]
    assert (first["category_id"], first["bbox"], first["area"]) == (2, [0, 0, 10, 20], 200)
    assert (second["category_id"], second["bbox"]) == (1, [4, 5, 4, 4])
    assert (val["annotations"][0]["difficult"], val["annotations"][0]["iscrowd"]) == (1, 0)
    assert notes == (
        "1 masks of pixels left out: a.png",
        "1 objects marked difficult taken as others are; the mark is kept: "
        "VOC2012/Annotations/b.xml",
    )
    _, one, other = convert_into(tmp_path / "out", tmp_path / "data")
    assert (len(ids(one)), len(ids(other))) == (1, 2)


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        ({"a.jpg": picture(1), "a.xml": label(thing("cat"))}, {"all"}),
        ({"train/a.jpg": picture(1), "train/a.xml": label(thing("cat"))}, {"train"}),
        ({"images/train/a.png": picture(1), "annotations/a.xml": label(thing("cat"))}, {"train"}),
    ],
)
def test_folders_without_lists(tmp_path: Path, files: dict[str, bytes], splits: set[str]) -> None:
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert documents.keys() == splits
    assert notes == ()


def test_only_trainval_is_for_training(tmp_path: Path) -> None:
    files = {
        name: data for name, data in KIT.items() if not name.endswith(("/train.txt", "/val.txt"))
    }
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert documents.keys() == {"train"}


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    part = "<part><name>head</name></part>"
    files = {
        "a.jpg": picture(1),
        "a.xml": label(
            thing("cat", more=part),
            "<name>dog</name>",
            thing("", (1, 1, 2, 2)),
            thing("x", ("", 1, 2, 3)),
        ),
        "b.xml": label(thing("cat")),
    }
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert len(documents["all"]["annotations"]) == 1
    assert notes == (
        "1 parts of objects left out: a.xml",
        "3 objects without a name or a box left out: a.xml, a.xml, a.xml",
        "1 labels without an image left out: b.xml",
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.jpg": picture(1)}, "has no Pascal VOC labels: XML files, in the folder Annotations"),
        ({"a.xml": label()}, "has no images for its Pascal VOC labels"),
        ({"a.jpg": picture(1), "a.xml": b"<annotation>"}, r"a\.xml is not XML \("),
        (
            {"a.jpg": picture(1), "a.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><annotation/>'},
            r"a\.xml defines entities, which no labels need",
        ),
        (
            {"x/a.jpg": picture(1), "images/x/a.jpg": picture(2), "a.xml": label(thing("cat"))},
            r"has two images a\.jpg in split x: rename one",
        ),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    source = write_files(tmp_path / "source", files)
    with pytest.raises(UserError, match=message):
        taken(source, tmp_path / "out")
