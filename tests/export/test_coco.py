"""What was converted comes back: JSON as parsed values, images byte for byte."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cocopipe.export.coco import export
from tests.coco_files import (
    instances,
    official,
    picture,
    write_files,
    write_zip,
)
from tests.converting import Converted, file_of

Convert = Callable[..., Converted]


def exported(converted: Converted, out: Path) -> Path:
    _, train, val = converted
    out.mkdir()
    export([train, val], out)
    return out


def documents(root: Path) -> dict[str, Any]:
    return {
        path.name: json.loads(path.read_text()) for path in (root / "annotations").glob("*.json")
    }


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["coco128", "coco_mini"])
def test_real_data_in_the_official_layout(
    real_data: Path, converted: Convert, tmp_path: Path, name: str
) -> None:
    source = real_data / name
    out = exported(converted(source), tmp_path / "out")
    assert documents(out) == documents(source)
    for folder in (path for path in source.iterdir() if path.name != "annotations"):
        listed = {
            image["file_name"]
            for file, document in documents(source).items()
            if file.endswith(f"_{folder.name}.json")
            for image in document["images"]
        }
        assert {path.name for path in (out / folder.name).iterdir()} == listed
        for file in listed:
            assert (out / folder.name / file).read_bytes() == (folder / file).read_bytes()


@pytest.mark.real_data
def test_real_data_beside_their_document(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = real_data / "raccoon"
    out = exported(converted(source), tmp_path / "out")
    document = json.loads((source / "train" / "_annotations.coco.json").read_text())
    assert documents(out) == {"instances_train.json": document}
    for image in document["images"]:
        name = image["file_name"]
        assert (out / "train" / name).read_bytes() == (source / "train" / name).read_bytes()


def test_a_divided_split_is_one_again(converted: Convert, tmp_path: Path) -> None:
    files = official(range(40))
    # An order of its own, in images and in annotations.
    document = files["annotations/instances_train.json"]
    document["images"].reverse()
    document["annotations"] = document["annotations"][::2] + document["annotations"][1::2]
    out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert documents(out) == {"instances_train.json": document}
    for number in range(40):
        assert (out / "train" / f"{number}.jpg").read_bytes() == picture(number)


def test_what_was_exported_converts_to_the_same_bytes(converted: Convert, tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {**official(range(9)), **official(range(9, 12), "val")})
    _, *first = converted(raw)
    again = exported((None, *first), tmp_path / "out")
    _, *second = converted(again)
    for one, other in zip(first, second, strict=True):
        files = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
        assert files
        for file in files:
            assert (one / file).read_bytes() == (other / file).read_bytes()


def test_images_in_folders_and_zips(converted: Convert, tmp_path: Path) -> None:
    document = instances([1, 2])
    for image in document["images"]:
        image["file_name"] = f"deep/er/{image['id']}.jpg"
    files = {f"train/deep/er/{number}.jpg": picture(number) for number in (1, 2)}
    write_zip(tmp_path / "raw" / "train.zip", files)
    write_files(tmp_path / "raw", {"annotations/instances_train.json": document})
    write_files(tmp_path / "raw", official([3], "val"))
    out = exported(converted(tmp_path / "raw"), tmp_path / "out")
    assert documents(out)["instances_train.json"] == document
    assert (out / "train/deep/er/2.jpg").read_bytes() == picture(2)


ELSEWHERE = {
    1: "images\\1.jpg",
    2: "2.JPG",
    3: "train/a%20b.jpg",
    4: "https://example.org/upload/4.jpg?token=1",
    5: "C:\\pictures\\5.jpg",
    6: "../../6.jpg",
    7: "/data/upload/7.jpg",
    8: "8.jpg",
}
"""Names as tools on other machines write them; the files are called after the id, 3 ``a b.jpg``."""


def test_names_of_another_machine_stay_as_they_are_written(
    converted: Convert, tmp_path: Path
) -> None:
    document = instances([*ELSEWHERE])
    for image in document["images"]:
        image["file_name"] = ELSEWHERE[image["id"]]
    files = {f"train/{number}.jpg": picture(number) for number in ELSEWHERE if number != 3}
    files |= {"train/a b.jpg": picture(3), "annotations/instances_train.json": document}
    raw = write_files(tmp_path / "raw", {**files, **official([9], "val")})
    conversion, train, val = converted(raw)
    assert {(each.what, each.count) for each in conversion.readings} == {
        ("file names read as a path of another place", 1),
        ("file names read in another letter case", 1),
        ("file names read in another folder", 5),
    }
    assert file_of(train, 3) == picture(3)
    out = exported((conversion, train, val), tmp_path / "out")
    assert documents(out)["instances_train.json"] == document
    there = {path.relative_to(out).as_posix() for path in out.rglob("*.jpg")}
    assert {"train/images/1.jpg", "train/pictures/5.jpg", "train/6.jpg"} < there
    assert len(there) + len([*out.rglob("*.JPG")]) == 9
    _, again, _ = converted(out)
    assert [file_of(again, each) for each in ELSEWHERE] == [picture(each) for each in ELSEWHERE]


def test_a_document_is_written_with_the_bytes_that_it_always_had(
    converted: Convert, tmp_path: Path
) -> None:
    document = instances([1, 2, 3], info={"year": 2017})
    document["images"][1] |= {"licence": 4, "width": 20.5}
    document["annotations"][0] |= {"keypoints": [1, 2, 2], "num_keypoints": 1, "note": "漢字"}
    document["annotations"][1] |= {
        "caption": "a thing",
        "segmentation": {"size": [12, 20], "counts": [200, 40]},
    }
    files = {**official([1, 2, 3]), "annotations/instances_train.json": document}
    raw = write_files(tmp_path / "raw", {**files, **official([4], "val")})
    out = exported(converted(raw), tmp_path / "out")
    data = (out / "annotations/instances_train.json").read_bytes()
    assert [list(image)[:2] for image in json.loads(data)["images"]] == [["id", "file_name"]] * 3
    assert sha256(data).hexdigest() == (
        "34466ad8a8a71925da5ceaf540764f7fa9f331a5ebd81a5007ca3c5c217f2f0c"
    )
