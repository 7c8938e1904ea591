"""COCO datasets as tools lay them out: small ones, of real JPEGs.

Each layout is a function of documents by split and pictures by id; it gives the files by their
paths, and the names that the splits should be known by.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tests.coco_files import instances, picture

Documents = Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Laid:
    """A dataset in a tool's layout.

    Attributes:
        files: Path -> content.
        splits: The name that a split should have -> its document, with the names of that tool.
    """

    files: dict[str, Any]
    splits: dict[str, dict[str, Any]]


def dataset() -> dict[str, dict[str, Any]]:
    """Three splits, whose pictures are called alike, and have the same ids."""
    ids = {"train": range(1, 6), "val": range(1, 4), "test": range(1, 3)}
    return {split: instances(its) for split, its in ids.items()}


def numbered() -> dict[str, dict[str, Any]]:
    """Three splits whose pictures can lie in one folder."""
    ids = {"train": range(1, 6), "val": range(11, 14), "test": range(21, 23)}
    return {split: instances(its) for split, its in ids.items()}


def picture_of(split: str, image_id: int) -> bytes:
    return picture(image_id + {"va": 100, "te": 200}.get(split.lower()[:2], 0))


def merged() -> dict[str, dict[str, Any]]:
    """One split."""
    return {"all": instances(range(1, 9))}


def _laid(
    documents: Documents,
    document_path: str,
    picture_path: str,
    name: str = "{id}.jpg",
    split_as: "Mapping[str, str] | None" = None,
) -> Laid:
    """Lay out by patterns of ``{split}`` and ``{id}``; ``name`` is what documents call a file."""
    files: dict[str, Any] = {}
    splits: dict[str, dict[str, Any]] = {}
    for own, original in documents.items():
        split = (split_as or {}).get(own, own)
        document = deepcopy(original)
        for image in document["images"]:
            where = {"split": split, "id": image["id"]}
            files[picture_path.format(**where)] = picture_of(split, image["id"])
            image["file_name"] = name.format(**where)
        files[document_path.format(split=split)] = document
        splits[split] = document
    return Laid(files, splits)


VALID = {"val": "valid"}
CVAT = {"train": "Train", "val": "Validation", "test": "Test"}

THREE: dict[str, Callable[[], Laid]] = {
    "official": lambda: _laid(dataset(), "annotations/instances_{split}.json", "{split}/{id}.jpg"),
    "official in images": lambda: _laid(
        dataset(), "annotations/instances_{split}.json", "images/{split}/{id}.jpg"
    ),
    "roboflow": lambda: _laid(
        dataset(), "{split}/_annotations.coco.json", "{split}/{id}.jpg", split_as=VALID
    ),
    "cvat": lambda: _laid(
        dataset(),
        "annotations/instances_{split}.json",
        "images/{split}/{id}.jpg",
        split_as=CVAT,
    ),
    "cvat flat": lambda: _laid(
        numbered(), "annotations/instances_{split}.json", "images/{id}.jpg", split_as=CVAT
    ),
    "cvat in folders": lambda: _laid(
        numbered(),
        "annotations/instances_{split}.json",
        "images/cam{id}/1.jpg",
        "cam{id}/1.jpg",
        split_as=CVAT,
    ),
    "label studio": lambda: _laid(
        dataset(), "{split}/result.json", "{split}/images/{id}.jpg", "images/{id}.jpg"
    ),
    "label studio on windows": lambda: _laid(
        dataset(), "{split}/result.json", "{split}/images/{id}.jpg", "images\\{id}.jpg"
    ),
    "fiftyone": lambda: _laid(dataset(), "{split}/labels.json", "{split}/data/{id}.jpg"),
    "supervisely": lambda: _laid(
        dataset(), "{split}/annotations/instances.json", "{split}/images/{id}.jpg"
    ),
    "named after the split": lambda: _laid(dataset(), "{split}.json", "{split}/{id}.jpg"),
    "in the root": lambda: _laid(numbered(), "{split}.json", "{id}.jpg"),
    "in the root, images beside": lambda: _laid(
        numbered(), "instances_{split}.json", "images/{id}.jpg"
    ),
    "notebooks of DETR": lambda: _laid(
        dataset(), "annotations/custom_{split}.json", "{split}2017/{id}.jpg"
    ),
    "one folder too deep": lambda: _laid(
        dataset(), "my data/annotations/instances_{split}.json", "my data/{split}/{id}.jpg"
    ),
    "two folders too deep": lambda: _laid(
        dataset(), "a/b/{split}/_annotations.coco.json", "a/b/{split}/{id}.jpg"
    ),
    "paths of the machine that made it": lambda: _laid(
        dataset(),
        "annotations/{split}.json",
        "pictures/{split}/{id}.jpg",
        "/home/me/work/{split}/{id}.jpg",
    ),
    "addresses": lambda: _laid(
        dataset(),
        "annotations/instances_{split}.json",
        "images/{split}/{id}.jpg",
        "https://example.org/{split}/{id}.jpg?token=1",
    ),
}
"""Layouts of three splits."""

ONE: dict[str, Callable[[], Laid]] = {
    "label studio": lambda: _laid(merged(), "result.json", "images/{id}.jpg", "images/{id}.jpg"),
    "label studio, pictures renamed": lambda: _laid(
        merged(), "result.json", "images/0a1b2c3d-{id}.jpg", "images\\0a1b2c3d-{id}.jpg"
    ),
    "fiftyone": lambda: _laid(merged(), "labels.json", "data/{id}.jpg"),
    "cvat": lambda: _laid(
        merged(),
        "annotations/instances_{split}.json",
        "images/{split}/{id}.jpg",
        split_as={"all": "default"},
    ),
    "cvat flat": lambda: _laid(
        merged(),
        "annotations/instances_{split}.json",
        "images/{id}.jpg",
        split_as={"all": "default"},
    ),
    "via": lambda: _laid(merged(), "via_project_9Mar2026_coco.json", "{id}.jpg"),
    "makesense": lambda: _laid(
        merged(), "labels_my-project_2026-03-09-10-11-12.json", "images/{id}.jpg"
    ),
    "labelme2coco": lambda: _laid(
        merged(), "annotations.json", "JPEGImages/{id}.jpg", "JPEGImages/{id}.jpg"
    ),
    "labelme2coco of a list": lambda: _laid(merged(), "dataset.json", "{id}.jpg", "../x/{id}.jpg"),
    "roboflow without splits": lambda: _laid(merged(), "_annotations.coco.json", "{id}.jpg"),
    "in a folder of any name": lambda: _laid(
        merged(), "coco.json", "my pictures/{id}.jpg", "{id}.jpg"
    ),
}
"""Layouts of one split."""
