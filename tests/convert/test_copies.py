"""A store has identical files once, and is what it would be if they had never been two."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cocopipe.convert import image_writer
from cocopipe.split import images as reading
from cocopipe.split.images import ImageStore
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted, file_of, ids

Convert = Callable[..., Converted]


def shards(split: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (split / "images").iterdir()}


def copied(count: int, copies: dict[str, int]) -> dict[str, Any]:
    """Images named a0, a1, …, and more files that are the same as some of those."""
    document = instances(range(count))
    for image in document["images"]:
        image["file_name"] = f"a{image['id']}.jpg"
    files: dict[str, Any] = {f"train/a{number}.jpg": picture(number) for number in range(count)}
    for place, (name, number) in enumerate(copies.items()):
        document["images"].append({"id": 1000 + place, "file_name": f"{name}.jpg"})
        files[f"train/{name}.jpg"] = picture(number)
    return files | {"annotations/instances_train.json": document} | official([9], "val")


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_writer, "ROW_GROUP", 3)
    monkeypatch.setattr("cocopipe.convert.copies.ROW_GROUP", 3)
    monkeypatch.setattr(reading, "ROW_GROUP", 3)


def test_copies_are_stored_once_and_read_by_all_their_names(
    tmp_path: Path, converted: Convert
) -> None:
    copies = {"z1": 3, "z2": 3, "a5_5": 5, "b": 39, "A7": 7}
    conversion, train, _ = converted(write_files(tmp_path / "raw", copied(40, copies)), shard_mb=1)
    _, plain, _ = converted(write_files(tmp_path / "plain", copied(40, {})), shard_mb=1)
    stored = conversion.splits["train"].stored
    assert (stored.images, stored.files) == (45, 40)
    assert stored.size_bytes == sum(len(picture(number)) for number in range(40))
    assert len(ImageStore(train)) == 40
    assert stored.shards == len(shards(train)) > 3
    for place, number in enumerate(copies.values()):
        assert file_of(train, 1000 + place) == picture(number)
    for number in range(40):
        assert file_of(train, number) == picture(number)
    # Borders are those of names, of which there are more.
    same = {name for name, data in shards(plain).items() if shards(train).get(name) == data}
    assert len(same) >= len(shards(plain)) - 2


def test_a_shard_of_nothing_but_copies_is_none(tmp_path: Path, converted: Convert) -> None:
    copies = {f"z{number}": number for number in range(30)}
    conversion, train, _ = converted(
        write_files(tmp_path / "raw", copied(30, copies)), shard_mb=0.1
    )
    assert len(ImageStore(train)) == conversion.splits["train"].stored.files == 30
    assert len(ids(train)) == 60
    assert all(name.startswith("a") for name in shards(train))


def test_copies_fall_on_one_side(tmp_path: Path, converted: Convert) -> None:
    files = copied(60, {f"z{number}": number for number in range(60)})
    del files["annotations/instances_val.json"]
    del files["val/9.jpg"]
    _, train, val = converted(write_files(tmp_path / "raw", files))
    assert sorted(ids(train) + ids(val)) == [*range(60), *range(1000, 1060)]
    assert {number % 1000 for number in ids(train) if number >= 1000} == {
        number for number in ids(train) if number < 1000
    }


def test_any_number_of_workers_writes_the_same(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(
        tmp_path / "raw", copied(50, {f"z{number}": number % 7 for number in range(20)})
    )
    found = [converted(raw, workers=workers, shard_mb=1) for workers in (1, 5)]
    assert shards(found[0][1]) == shards(found[1][1])


def test_images_of_one_name_are_by_their_hashes(tmp_path: Path, converted: Convert) -> None:
    """Names and order as tools write them do not matter."""
    document, files = instances(range(30)), {}
    other, renamed = instances(range(100, 130)), {}
    for place in range(30):
        document["images"][place]["file_name"] = f"scene{place}/frame.jpg"
        files[f"train/scene{place}/frame.jpg"] = picture(place)
        name = f"a{29 - place:07x}-frame.jpg"
        other["images"][place]["file_name"] = name
        renamed[f"train/{name}"] = picture(place)
    val = official([9], "val")
    files |= {"annotations/instances_train.json": document} | val
    renamed |= {"annotations/instances_train.json": other} | val
    _, one, _ = converted(write_files(tmp_path / "one", files), shard_mb=1)
    _, two, _ = converted(write_files(tmp_path / "two", renamed), shard_mb=1)
    assert shards(one) == shards(two)
    assert len(shards(one)) > 3
    stored = ImageStore(one).sha256
    assert len(stored) == 30


def test_pictures_of_several_roles_and_copies_in_one_are_told(
    tmp_path: Path, converted: Convert
) -> None:
    files = official([1, 2, 3], "train") | official([4, 5], "val")
    files |= {"train/2.jpg": picture(1), "val/5.jpg": picture(1)}
    conversion, *_ = converted(write_files(tmp_path / "raw", files))
    assert conversion.copies == ("2.jpg",)
    assert conversion.in_several_roles == ("5.jpg (train and val)",)
    assert conversion.metrics()["images_in_several_roles"] == 1
    told = [each.what for each in conversion.notes]
    assert told == [
        "pictures in more than one of train, val and test",
        "images that are copies of others of their split",
    ]
