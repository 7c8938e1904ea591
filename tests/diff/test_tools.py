"""What annotation tools write anew in every export is no change: ids, order, how values look."""

import copy
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocopipe.diff.answer import Changes
from cocopipe.diff.changes import compare
from cocopipe.diff.sheet import read_from, sheet_of_changes
from tests.coco_files import instances, official, picture, write_files
from tests.converting import convert_into

Json = dict[str, Any]
Convert = Callable[..., Path]


@pytest.fixture
def train(tmp_path: Path) -> Convert:
    """The split for training of documents by split of the raw data; pictures by split and name."""
    count = itertools.count()

    def run(documents: dict[str, Json], pictures: dict[tuple[str, str], bytes]) -> Path:
        files: Json = official([900], "val")
        files |= {f"annotations/instances_{split}.json": one for split, one in documents.items()}
        files |= {f"{split}/{name}": data for (split, name), data in pictures.items()}
        folder = tmp_path / str(next(count))
        return convert_into(write_files(folder / "raw", files), folder / "out", workers=1)[1]

    return run


def told(changes: Changes) -> dict[str, int]:
    """What the changes are, but for zeros."""
    kinds = ("added", "removed", "replaced", "renumbered", "renamed", "relisted")
    found = {f"images {kind}": len(getattr(changes.images, kind)) for kind in kinds}
    kinds = ("added", "removed", "moved", "relabelled", "other", "renumbered")
    found |= {f"boxes {kind}": getattr(changes.boxes, kind) for kind in kinds}
    return {what: count for what, count in found.items() if count}


def renumbered(document: Json, by: int) -> Json:
    """As tools write it again, every image with another id."""
    document = copy.deepcopy(document)
    for image in document["images"]:
        image["id"] += by
    for one in document["annotations"]:
        one["image_id"] += by
    return document


def two(first: int, second: int) -> tuple[dict[str, Json], dict[tuple[str, str], bytes]]:
    """Two splits for training, so many images each, that share ids and names."""
    documents = {
        "train_a": instances(range(1, first + 1)),
        "train_b": instances(range(1, second + 1)),
    }
    pictures = {
        (split, image["file_name"]): picture(100 * (split == "train_b") + image["id"])
        for split, document in documents.items()
        for image in document["images"]
    }
    return documents, pictures


def test_renumbering_splits_that_share_ids(train: Convert) -> None:
    documents, pictures = two(4, 4)
    after = {split: renumbered(one, 3) for split, one in documents.items()}
    changes = compare(train(documents, pictures), train(after, pictures))
    assert told(changes) == {"images renumbered": 8}
    assert [
        (one.before.source, one.before.image_id, one.after.image_id)
        for one in changes.images.renumbered
    ] == [(split, number, number + 3) for split in documents for number in range(1, 5)]


def test_ids_are_raised_by_more_when_there_are_more_images(train: Convert) -> None:
    before, after = train(*two(4, 4)), train(*two(6, 4))
    assert told(compare(before, after)) == {"images added": 2}


def test_splits_that_share_names_are_told_apart(train: Convert) -> None:
    documents, pictures = two(4, 4)
    edited = pictures | {("train_b", "2.jpg"): picture(7)}
    changes = compare(train(documents, pictures), train(documents, edited))
    assert told(changes) == {"images replaced": 1}
    assert changes.images.replaced[0].before.source == "train_b"


def as_text(document: Json) -> Json:
    for image in document["images"]:
        image |= {"id": str(image["id"]), "width": str(image["width"])}
    for one in document["annotations"]:
        one |= {name: str(one[name]) for name in ("id", "image_id", "category_id", "area")}
        one["bbox"] = [str(number) for number in one["bbox"]]
    return document


def as_floats(document: Json) -> Json:
    for entry in (*document["images"], *document["annotations"]):
        entry |= {name: float(entry[name]) for name in ("id", "image_id") if name in entry}
    return document


def in_another_order(document: Json) -> Json:
    for entries in (document["images"], document["annotations"]):
        for entry in entries:
            for key in sorted(entry, reverse=True):
                entry[key] = entry.pop(key)
    return document


@pytest.mark.parametrize("written", [as_text, as_floats, in_another_order])
@pytest.mark.parametrize("by", [0, 3])
def test_values_are_compared_as_they_are_read(
    train: Convert, written: Callable[[Json], Json], by: int
) -> None:
    document = instances(range(1, 5))
    for number, entry in enumerate((*document["images"], *document["annotations"])):
        entry["attributes"] = {"a": number, "b": 1}
    pictures = {("train", f"{number}.jpg"): picture(number) for number in range(1, 5)}
    before = train({"train": document}, pictures)
    after = train({"train": written(renumbered(document, by))}, pictures)
    assert told(compare(before, after)) == ({"images renumbered": 4} if by else {})


@pytest.mark.parametrize("value", ["x", None, [1]])
def test_what_can_not_be_read_is_compared_as_written(train: Convert, value: Any) -> None:
    document = instances([1])
    other = copy.deepcopy(document)
    other["annotations"][0]["area"] = value
    pictures = {("train", "1.jpg"): picture(1)}
    changes = compare(*(train({"train": one}, pictures) for one in (document, other)))
    assert told(changes) == {"boxes other": 1}


# Which image is which


def test_an_id_alone_proves_nothing(train: Convert) -> None:
    """Sources without ids are numbered from 1, whatever files there are."""
    names = {"one": [f"{letter}.jpg" for letter in "abcd"], "other": [f"{n}.jpg" for n in "efgh"]}
    splits = []
    for place, its in enumerate(names.values()):
        document = instances(range(1, 5))
        for image, name in zip(document["images"], its, strict=True):
            image["file_name"] = name
        pictures = {("train", name): picture(10 * place + n) for n, name in enumerate(its)}
        splits.append(train({"train": document}, pictures))
    changes = compare(*splits)
    assert told(changes) == {"images added": 4, "images removed": 4}
    assert (changes.boxes.unchanged, changes.boxes.of_added_images) == (0, 4)


def test_an_edited_picture_under_a_name_that_a_tool_made_is_replaced(train: Convert) -> None:
    document = instances(range(1, 5))
    after = renumbered(document, 3)
    for image in after["images"]:
        image["file_name"] = f"{image['id'] - 3}_jpg.rf.{image['id']:032x}.jpg"
    before = {("train", f"{number}.jpg"): picture(number) for number in range(1, 5)}
    resized = {
        ("train", image["file_name"]): picture(image["id"], (40, 24)) for image in after["images"]
    }
    changes = compare(train({"train": document}, before), train({"train": after}, resized))
    assert told(changes) == {
        "images replaced": 4,
        "images renamed": 4,
        "images renumbered": 4,
    }


def test_a_name_that_several_have_then_proves_nothing(train: Convert) -> None:
    """A tool makes several pictures of one, and others the next time."""
    splits = []
    for version in range(2):
        document = instances([1, 2])
        for image in document["images"]:
            image["file_name"] = f"dog_jpg.rf.{10 * version + image['id']:032x}.jpg"
        pictures = {
            ("train", image["file_name"]): picture(10 * version + image["id"])
            for image in document["images"]
        }
        splits.append(train({"train": document}, pictures))
    assert told(compare(*splits)) == {"images added": 2, "images removed": 2}


def test_a_sheet_shows_the_right_one_of_two_with_an_id(train: Convert, tmp_path: Path) -> None:
    documents, pictures = two(2, 2)
    after = copy.deepcopy(documents)
    after["train_b"]["annotations"][1]["bbox"] = [2, 2, 3.5, 4]
    splits = train(documents, pictures), train(after, pictures)
    changes = compare(*splits)
    assert told(changes) == {"boxes moved": 1}
    (moved,) = changes.objects.to_pylist()
    assert (moved["source_after"], moved["image_id_after"], moved["id_after"]) == (
        "train_b",
        2,
        101,
    )
    read = []
    stored = read_from(*splits, changes.document)

    def watched(side: Any, image: Any) -> bytes:
        read.append(stored(side, image))
        return read[-1]

    path = tmp_path / "sheet.png"
    assert sheet_of_changes(changes, *splits, path, read=watched, pictures=5) == 1
    assert read == [pictures["train_b", "2.jpg"]] * 2
    json.dumps(changes.as_dict())


def test_fields_are_compared_by_split_of_the_raw_data(train: Convert) -> None:
    one, pictures = two(2, 2)
    for split, document in one.items():
        document["info"] = {"description": split}
    alone = train({"train_a": one["train_a"]}, pictures)
    both = train(one, pictures)
    one["train_b"]["info"] = {"description": "another"}
    assert compare(alone, both).document_fields == ()
    assert compare(both, train(one, pictures)).document_fields == ("info",)
    renamed = {"training": one["train_a"]}
    named = {("training", name): data for (_, name), data in list(pictures.items())[:2]}
    assert compare(alone, train(renamed, named)).is_empty
