import copy
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pixels
from rich.console import Console

from cocopipe.diff.answer import Changes, ListedImage, Side
from cocopipe.diff.changes import compare
from cocopipe.diff.sheet import read_from, sheet_of_changes, to_show
from cocopipe.diff.text import changes_text
from cocopipe.errors import UserError
from tests.converting import noise

Convert = Callable[..., tuple[Path, Path]]
Json = dict[str, Any]

CATEGORIES = [{"id": number, "name": f"class {number}"} for number in range(14)]


def document(image_ids: "range | list[int]") -> Json:
    """Each image has as many objects as its id says."""
    return {
        "images": [{"id": number, "file_name": f"{number}.jpg"} for number in image_ids],
        "annotations": [
            {
                "id": 100 * image_id + number,
                "image_id": image_id,
                "category_id": number,
                "bbox": [5 * number, 3, 20, 30],
            }
            for image_id in image_ids
            for number in range(image_id)
        ],
        "categories": CATEGORIES,
    }


@pytest.fixture
def version(splits_of: Convert) -> Callable[..., Path]:
    def make(content: Json, name: str = "instances", **settings: Any) -> Path:
        val = {**content, "images": content["images"][:1], "annotations": []}
        return splits_of({"train": content, "val": val}, name, **settings)[0]

    return make


def edited() -> Json:
    """Of images 1 to 8: 1 and 2 are gone, 9 and 10 are new; 5 and 6 have other objects."""
    content = document(range(3, 11))
    for annotation in content["annotations"]:
        if annotation["image_id"] == 6:
            annotation["category_id"] = 13
        if annotation["id"] == 501:
            annotation["bbox"] = [7, 3, 20, 30]
        if annotation["id"] == 502:
            annotation["area"] = 3
    return content


@pytest.fixture
def versions(version: Callable[..., Path]) -> tuple[Path, Path, Changes]:
    before, after = version(document(range(1, 9))), version(edited())
    return before, after, compare(before, after)


def shown(changes: Changes, pictures: int) -> list[tuple[int | None, int | None]]:
    return [
        (one.before and one.before.image_id, one.after and one.after.image_id)
        for one in to_show(changes, pictures)
    ]


def test_images_are_shown_in_turn_the_most_changed_first(versions: Any) -> None:
    *_, changes = versions
    in_order = [(6, 6), (None, 10), (2, None), (5, 5), (None, 9), (1, None)]
    assert shown(changes, 4) == in_order[:4]
    assert shown(changes, 100) == in_order
    assert shown(changes, 0) == []


def test_a_replaced_image_is_shown_once(version: Callable[..., Path]) -> None:
    before = version(document(range(1, 5)))
    after = version(document(range(1, 5)), damage=lambda data: data[:-2] + b"\0\xff\xd9")
    changes = compare(before, after)
    assert shown(changes, 9) == [(4, 4), (3, 3), (2, 2), (1, 1)]
    assert all(one.is_replaced for one in to_show(changes, 9))
    content = document(range(1, 5))
    del content["annotations"][0]
    both = compare(before, version(content, damage=lambda data: data[:-2] + b"\0\xff\xd9"))
    assert shown(both, 9) == [(1, 1), (4, 4), (3, 3), (2, 2)]
    assert to_show(both, 1)[0].boxes == both.by_image[0]


def test_only_images_that_are_shown_are_read(versions: Any, tmp_path: Path) -> None:
    before, after, changes = versions
    read = []

    def of_noise(side: Side, image: ListedImage) -> bytes:
        read.append((side, image.image_id))
        return noise({"id": image.image_id})

    path = tmp_path / "sheet.png"
    assert sheet_of_changes(changes, before, after, path, read=of_noise, pictures=3) == 3
    assert read == [
        (Side.BEFORE, 6),
        (Side.AFTER, 6),
        (Side.AFTER, 10),
        (Side.BEFORE, 2),
    ]
    other = tmp_path / "other.png"
    stored = read_from(before, after, changes.document)
    assert sheet_of_changes(changes, before, after, other, read=stored, pictures=3) == 3
    assert path.read_bytes() == other.read_bytes()
    with Pixels.open(path) as sheet:
        assert sheet.width > 4 * 480


def test_what_did_not_change_is_not_drawn(version: Callable[..., Path], tmp_path: Path) -> None:
    """The same sheet comes of documents that hold nothing but what changed."""
    content, other = document([4]), document([4])
    other["annotations"][2]["category_id"] = 9

    def sheet_of(*contents: Json) -> bytes:
        before, after = map(version, contents)
        changes, path = compare(before, after), tmp_path / "sheet.png"
        read = read_from(before, after, changes.document)
        assert sheet_of_changes(changes, before, after, path, read=read, pictures=1) == 1
        return path.read_bytes()

    whole = sheet_of(content, other)
    only = [each | {"annotations": each["annotations"][2:3]} for each in (content, other)]
    assert whole == sheet_of(*only)
    assert whole != sheet_of(other, content)


def test_a_new_split_and_one_without_changes(versions: Any, tmp_path: Path) -> None:
    _, after, _ = versions
    path = tmp_path / "sheet.png"
    read = read_from(None, after, "instances")
    assert sheet_of_changes(compare(None, after), None, after, path, read=read, pictures=2) == 2
    path.unlink()
    same = compare(after, after)
    assert sheet_of_changes(same, after, after, path, read=read, pictures=2) == 0
    assert not path.exists()


def test_captions_and_objects_without_category(
    version: Callable[..., Path], tmp_path: Path
) -> None:
    content = document([1, 2])
    del content["categories"]
    content["annotations"] = [
        {"id": 1, "image_id": 1, "caption": "noise", "bbox": [1, 1, 30, 30]},
        {"id": 2, "image_id": 2, "caption": "noise"},
    ]
    other = copy.deepcopy(content)
    for annotation in other["annotations"]:
        annotation["caption"] = "more noise"
    before, after = version(content, "captions"), version(other, "captions")
    changes = compare(before, after, document="captions")
    assert changes.boxes.other == 2
    read = read_from(before, after, changes.document)
    path = tmp_path / "sheet.png"
    assert sheet_of_changes(changes, before, after, path, read=read, pictures=2) == 2


def test_a_damaged_picture_is_named(versions: Any, tmp_path: Path) -> None:
    before, after, changes = versions

    def nothing(side: Side, image: ListedImage) -> bytes:
        return b"nothing"

    message = r"image 6, 6\.jpg, can't be decoded as it is before \(.*replace it in the source"
    with pytest.raises(UserError, match=message):
        sheet_of_changes(changes, before, after, tmp_path / "x", read=nothing, pictures=1)


# Text


def text_of(changes: Changes) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(changes_text("data/train", changes))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def test_the_text_tells_everything(versions: Any) -> None:
    *_, changes = versions
    lines = text_of(changes)
    assert lines[0] == "data/train 8 images, 36 → 52 boxes"
    assert lines[1] == "images 2 added, 2 removed"
    moved = "1 moved (IoU 0.82 mean, 0.82 least)"
    assert lines[2] == (
        f"boxes {moved}, 6 relabelled, 1 otherwise changed, 19 in added images, 3 in removed images"
    )
    assert lines[3].startswith("relabelled class 0 → class 13 1, class 1 → class 13 1,")
    assert lines[3].endswith("and 1 more")
    table = lines[lines.index("") + 1 :]
    assert table[0] == "category before after added removed moved relabelled other"
    assert table[1] == "class 13 0 6 0 0 0 +6 -0 0"
    assert "class 1 7 7 2 1 1 +0 -1 0" in table
    assert table[-1] == "and 1 more, which --json lists"


def test_the_text_of_categories_and_fields(version: Callable[..., Path]) -> None:
    content = document([3])
    other: Mapping[str, Any] = {
        **content,
        "categories": [*CATEGORIES[:13], {"id": 77, "name": "class 13"}, {"id": 90, "name": "x"}],
        "info": {"year": 2017},
    }
    before, after = version(content), version(dict(other))
    assert text_of(compare(before, after)) == [
        "data/train 1 images, 3 boxes",
        "categories 1 added: x; 1 renumbered: class 13",
        "document info differ",
    ]


def test_the_text_without_a_difference(version: Callable[..., Path]) -> None:
    content = document([3])
    before = version(content)
    assert text_of(compare(before, before)) == ["data/train 1 images, 3 boxes", "no difference"]
    for annotation in content["annotations"]:
        annotation["id"] += 1000
    assert text_of(compare(before, version(content))) == [
        "data/train 1 images, 3 boxes",
        "no difference",
        "ids 3 annotations have another id, which is no change",
    ]


def test_names_are_text_and_no_markup(version: Callable[..., Path]) -> None:
    content = document([1])
    content["categories"] = [{"id": 0, "name": "[red]a[/]"}]
    assert any("[red]a[/]" in line for line in text_of(compare(None, version(content))))


@pytest.mark.real_data
def test_real_data_relabelled(real_data: Path, to_splits: Convert, tmp_path: Path) -> None:
    source = real_data / "coco_mini"
    raw = tmp_path / "raw"
    (raw / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        shutil.copytree(source / split, raw / split)
        name = f"instances_{split}.json"
        content = json.loads((source / "annotations" / name).read_text())
        chosen = content["annotations"][:: 20 if split == "train2017" else 10**6]
        for annotation in chosen:
            annotation["category_id"] = 18 if annotation["category_id"] != 18 else 1
        (raw / "annotations" / name).write_text(json.dumps(content))
    before, _ = to_splits(source)
    after, _ = to_splits(raw)
    changes = compare(before, after)
    assert changes.boxes.relabelled == sum(one.changes for one in changes.by_image) == 37
    paths = [tmp_path / name for name in ("one.png", "two.png")]
    for path in paths:
        read = read_from(before, after, changes.document)
        sheet_of_changes(changes, before, after, path, read=read, pictures=4)
    assert paths[0].read_bytes() == paths[1].read_bytes()
