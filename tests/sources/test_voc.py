"""Pascal VOC's labels as COCO."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cocopipe.errors import UserError
from cocopipe.sources.voc import copy_voc
from tests.coco_files import picture, write_files
from tests.converting import convert_into, ids

SIZE = (40, 20)


def label(*objects: str, size: "tuple[Any, Any] | None" = SIZE, name: str = "x.jpg") -> bytes:
    inner = "".join(f"<object>{each}</object>" for each in objects)
    if size is not None:
        inner += f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"<annotation><filename>{name}</filename>{inner}</annotation>".encode()


def thing(name: str, box: tuple[Any, ...] = (1, 1, 10, 20), more: str = "") -> str:
    sides = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
    return f"<name>{name}</name>{more}<bndbox>{inner}</bndbox>"


CAT, DOG = label(thing("cat")), label(thing("dog"))

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


def classes(documents: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Split -> image -> the classes of its objects."""
    found: dict[str, dict[str, list[str]]] = {}
    for split, document in documents.items():
        names = {each["id"]: each["name"] for each in document["categories"]}
        found[split] = {
            image["file_name"]: [
                names[each["category_id"]]
                for each in document["annotations"]
                if each["image_id"] == image["id"]
            ]
            for image in document["images"]
        }
    return found


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
            size=None,
        ),
        "b.xml": label(thing("cat")),
        "c.jpg": picture(2),
        "d.mpo": picture(3),
    }
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert len(documents["all"]["annotations"]) == 1
    assert notes == (
        "1 images of kinds that are not read left out: d.mpo",
        "1 label files without an image left out: b.xml",
        "1 parts of objects left out: a.xml",
        "3 objects without a name or a box left out: a.xml, a.xml, a.xml",
        "1 labels without a size, the image's own taken: a.xml",
        "1 images without a label file, taken as without objects: c.jpg",
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
            {"a.jpg": picture(1), "a.xml": b'<?xml version="1.0" encoding="hex"?><annotation/>'},
            r"a\.xml is not XML \('hex' is not a text encoding",
        ),
        (
            {"a.jpg": picture(1), "a.xml": b'<?xml version="1.0" encoding="GBK"?><a>\xff</a>'},
            r"a\.xml is not XML \('gbk' codec can't decode",
        ),
        (
            {"x/a.jpg": picture(1), "images/y/a.jpg": picture(2), "Annotations/a.xml": CAT},
            r"^Annotations/a\.xml in .* could be the labels of images/y/a\.jpg, x/a\.jpg: put each",
        ),
        (
            {"a.jpg": picture(1), "a.png": picture(2), "a.xml": CAT},
            r"^a\.xml in .* could be the labels of a\.jpg, a\.png",
        ),
        (
            {"images/a.jpg": picture(1), "xml/a.xml": CAT, "labels/a.xml": DOG},
            r"^labels/a\.xml, xml/a\.xml in .* could be the labels of images/a\.jpg",
        ),
        (
            {"a.jpg": picture(1), "a.xml": CAT, "ImageSets/Main/train.txt": b"\xe9\n"},
            r"train\.txt is no text in UTF-8 \(",
        ),
        (
            {"a.jpg": picture(1), "a.xml": CAT, "ImageSets/Main/train.txt": b"b\n"},
            r"train\.txt lists b, which is not there, nor is any other",
        ),
        (
            {
                "JPEGImages/x/a.jpg": picture(1),
                "JPEGImages/y/a.jpg": picture(1),
                "Annotations/x/a.xml": CAT,
                "Annotations/y/a.xml": DOG,
                "ImageSets/Main/train.txt": b"a\n",
            },
            r"train\.txt lists a, which could be .*x/a\.jpg, .*y/a\.jpg: write more of its path",
        ),
    ],
)
def test_what_cannot_be_taken_is_one_sentence(
    tmp_path: Path, files: dict[str, bytes], message: str
) -> None:
    source = write_files(tmp_path / "source", files)
    with pytest.raises(UserError, match=message):
        taken(source, tmp_path / "out")


ALIKE: dict[str, tuple[dict[str, bytes], dict[str, dict[str, list[str]]]]] = {
    "beside the image": (
        {
            "train/1.jpg": picture(1),
            "train/1.xml": CAT,
            "val/1.jpg": picture(2),
            "val/1.xml": DOG,
        },
        {"train": {"1.jpg": ["cat"]}, "val": {"1.jpg": ["dog"]}},
    ),
    "in a folder beside the image's": (
        {
            "train/JPEGImages/1.jpg": picture(1),
            "train/Annotations/1.xml": CAT,
            "val/JPEGImages/1.jpg": picture(2),
            "val/Annotations/1.xml": DOG,
        },
        {"train": {"1.jpg": ["cat"]}, "val": {"1.jpg": ["dog"]}},
    ),
    "in folders of splits": (
        {
            "train_images/1.jpg": picture(1),
            "train_xml/1.xml": CAT,
            "val_images/1.jpg": picture(2),
            "val_xml/1.xml": DOG,
        },
        {"train_images": {"1.jpg": ["cat"]}, "val_images": {"1.jpg": ["dog"]}},
    ),
    "of folders inside a split": (
        {
            "images/train/cam1/1.jpg": picture(1),
            "annotations/cam1/1.xml": CAT,
            "images/train/cam2/1.jpg": picture(2),
            "annotations/cam2/1.xml": DOG,
        },
        {"train": {"cam1/1.jpg": ["cat"], "cam2/1.jpg": ["dog"]}},
    ),
    "named by the label": (
        {
            "JPEGImages/1.jpg": picture(1),
            "JPEGImages/1.png": picture(2),
            "Annotations/1.xml": label(thing("cat"), name="/home/x/1.png"),
        },
        {"all": {"1.jpg": [], "1.png": ["cat"]}},
    ),
    "another split's label is none": (
        {
            "train/1.jpg": picture(1),
            "val/1.xml": DOG,
            "train/2.jpg": picture(2),
            "train/2.xml": CAT,
        },
        {"train": {"1.jpg": [], "2.jpg": ["cat"]}},
    ),
    "alone of its name": (
        {"pictures/1.jpg": picture(1), "outlines/1.xml": CAT},
        {"pictures": {"1.jpg": ["cat"]}},
    ),
}


@pytest.mark.parametrize("layout", ALIKE)
def test_labels_are_of_the_image_that_they_lie_by(tmp_path: Path, layout: str) -> None:
    files, found = ALIKE[layout]
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert classes(documents) == found


@pytest.mark.parametrize("size", [(20, 10), (21, 11)])
def test_the_size_is_that_of_the_label(tmp_path: Path, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, "JPEG", exif=exif)
    files = {"a.jpg": buffer.getvalue(), "a.xml": label(thing("cat"), size=size)}
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    (image,) = documents["all"]["images"]
    assert (image["width"], image["height"]) == size
    assert notes == ()


@pytest.mark.parametrize("size", [None, (0, 0), ("", 10), ("wide", 10), (20.5, 10), ("nan", 10)])
def test_the_image_tells_a_size_that_the_label_does_not(tmp_path: Path, size: Any) -> None:
    files = {"a.jpg": picture(1, (20, 10)), "a.xml": label(thing("cat"), size=size)}
    documents, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    (image,) = documents["all"]["images"]
    assert (image["width"], image["height"]) == (20, 10)
    assert notes == ("1 labels without a size, the image's own taken: a.xml",)


def kit(year: int, lists: dict[str, bytes], *names: str) -> dict[str, bytes]:
    root = f"VOCdevkit/VOC{year}"
    return {
        **{f"{root}/ImageSets/Main/{name}": text for name, text in lists.items()},
        **{f"{root}/JPEGImages/{name}.jpg": picture(year, SIZE) for name in names},
        **{f"{root}/Annotations/{name}.xml": CAT for name in names},
    }


LISTED: dict[str, tuple[dict[str, bytes], dict[str, list[str]]]] = {
    "two kits": (
        kit(2007, {"train.txt": b"1\n", "test.txt": b"2\n"}, "1", "2")
        | kit(2012, {"train.txt": b"3\n", "val.txt": b"4\n"}, "3", "4"),
        {"train": ["1.jpg", "3.jpg"], "test": ["2.jpg"], "val": ["4.jpg"]},
    ),
    "two kits that call images alike": (
        kit(2007, {"train.txt": b"1\n"}, "1") | kit(2012, {"train.txt": b"1\n"}, "1"),
        {"train": [f"VOCdevkit/VOC{year}/JPEGImages/1.jpg" for year in (2007, 2012)]},
    ),
    "another image called alike": (
        kit(2007, {"train.txt": b"1\n", "val.txt": b"2\n"}, "1", "2")
        | {
            "VOCdevkit/VOC2007/JPEGImages/1.png": picture(1),
            "VOCdevkit/VOC2007/Annotations/1.xml": label(thing("cat"), name="1.jpg"),
        },
        {"train": ["1.jpg"], "val": ["2.jpg"]},
    ),
    "names as others write them": (
        kit(2007, {"Train.txt": b"my pic\nb  1\nb -1\nc.jpg\nJPEGImages\\d\n"}, "my pic", *"bcd"),
        {"train": ["my pic.jpg", "b.jpg", "c.jpg", "d.jpg"]},
    ),
    "lists called otherwise": (
        kit(2007, {"Train.txt": b"1", "validation.txt": b"2", "TEST.TXT": b"3"}, *"123"),
        {"train": ["1.jpg"], "val": ["2.jpg"], "test": ["3.jpg"]},
    ),
    "what is not for validation is for training": (
        kit(2007, {"trainval.txt": b"1\n2\n", "val.txt": b"2\n"}, "1", "2"),
        {"train": ["1.jpg"], "val": ["2.jpg"]},
    ),
    "marked text": (
        kit(2007, {"train.txt": b"\xef\xbb\xbf1\r\n", "val.txt": "2\n".encode("utf-16")}, "1", "2"),
        {"train": ["1.jpg"], "val": ["2.jpg"]},
    ),
    "lists that lie apart": (
        {
            "labels/ImageSets/Main/train.txt": b"1\n",
            "labels/Annotations/1.xml": CAT,
            "images/1.jpg": picture(1),
        },
        {"train": ["1.jpg"]},
    ),
    "without Main": (
        {
            "imagesets/train.txt": b"1\n",
            "JPEGImages/1.jpg": picture(1),
            "Annotations/1.xml": CAT,
        },
        {"train": ["1.jpg"]},
    ),
}


@pytest.mark.parametrize("layout", LISTED)
def test_lists_divide(tmp_path: Path, layout: str) -> None:
    files, splits = LISTED[layout]
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert {split: [*its] for split, its in classes(documents).items()} == splits


def test_what_no_list_has_is_said(tmp_path: Path) -> None:
    files = kit(2007, {"train.txt": b"1\n1\n9\n", "good.txt": b"2", "cat_val.txt": b"2 1"}, *"123")
    _, notes = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert notes == (
        "1 lists of ImageSets that name no split left out: good.txt",
        "1 listed images that are not there left out: 9",
        "2 images that no list of ImageSets names left out: 2.jpg, 3.jpg",
    )


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [("gbk", "GBK"), ("latin-1", "ISO-8859-1"), ("utf-16", "utf-16"), ("utf-8", "utf-16")],
)
def test_labels_in_the_encoding_that_they_state(tmp_path: Path, encoding: str, stated: str) -> None:
    name = "\xe9" if encoding == "latin-1" else "\u732b"
    text = f"<?xml version='1.0' encoding='{stated}'?>" + label(thing(name)).decode()
    files = {"a.jpg": picture(1), "a.xml": text.encode(encoding)}
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert classes(documents) == {"all": {"a.jpg": [name]}}


def test_marks_that_are_no_numbers_are_kept_as_text(tmp_path: Path) -> None:
    more = "<truncated>\u00b2</truncated><pose>Left</pose><occluded>1</occluded>"
    files = {"a.jpg": picture(1), "a.xml": label(thing("cat", more=more))}
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    (one,) = documents["all"]["annotations"]
    assert (one["truncated"], one["pose"], one["occluded"]) == ("\u00b2", "Left", 1)


def test_pictures_in_a_folder_called_annotations(tmp_path: Path) -> None:
    files = {"annotations/a.jpg": picture(1), "annotations/a.xml": CAT}
    documents, _ = taken(write_files(tmp_path / "source", files), tmp_path / "out")
    assert classes(documents) == {"all": {"a.jpg": ["cat"]}}
