"""A zip for annotation tools, which comes back as the same converted data."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from cocopipe.convert import table_writer
from cocopipe.export import coco as export
from cocopipe.export.coco import export_zip
from cocopipe.sources.directory import copy_directory
from cocopipe.split import tables
from tests.coco_files import instances, official, picture, write_files
from tests.converting import Converted

Convert = Callable[..., Converted]


def packed(converted: Converted, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    export_zip(converted[1:], path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == len(set(archive.namelist()))
        return {name: archive.read(name) for name in archive.namelist()}


def documents(files: dict[str, bytes]) -> dict[str, Any]:
    return {name: json.loads(data) for name, data in files.items() if name.endswith(".json")}


def tables_and_shards(converted: Converted) -> dict[str, bytes]:
    return {
        f"{split.name}/{path.relative_to(split).as_posix()}": path.read_bytes()
        for split in converted[1:]
        for path in split.rglob("*.parquet")
    }


def small_raw(folder: Path) -> Path:
    return write_files(folder, {**official(range(9)), **official(range(9, 12), "val")})


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["coco128", "coco_mini", "raccoon"])
def test_real_data_come_back_as_the_same_bytes(
    real_data: Path, converted: Convert, tmp_path: Path, name: str
) -> None:
    first = converted(real_data / name)
    packed(first, tmp_path / "back/corrected.zip")
    assert tables_and_shards(converted(tmp_path / "back")) == tables_and_shards(first)
    (tmp_path / "raw").mkdir()
    copy_directory(tmp_path / "back", tmp_path / "raw", splits={})
    assert tables_and_shards(converted(tmp_path / "raw")) == tables_and_shards(first)


@pytest.mark.real_data
def test_documents_and_images_are_those_of_the_source(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = real_data / "coco_mini"
    files = members(packed(converted(source), tmp_path / "it.zip"))
    originals = {
        f"annotations/{path.name}": json.loads(path.read_text())
        for path in (source / "annotations").iterdir()
    }
    assert documents(files) == originals
    images = {name: data for name, data in files.items() if not name.endswith(".json")}
    assert images == {
        f"images/{split}/{path.name}": path.read_bytes()
        for split in ("train2017", "val2017")
        for path in (source / split).iterdir()
    }


@pytest.mark.real_data
def test_unpacked_it_is_what_annotation_tools_look_for(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    path = packed(converted(real_data / "coco128"), tmp_path / "it.zip")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "unpacked")
    found = COCO(tmp_path / "unpacked/annotations/instances_train2017.json")
    truth = COCO(real_data / "coco128/annotations/instances_train2017.json")
    assert (found.imgs, found.anns, found.cats) == (truth.imgs, truth.anns, truth.cats)
    for image in found.loadImgs(found.getImgIds()):
        unpacked = tmp_path / "unpacked/images/train2017" / image["file_name"]
        original = real_data / "coco128/train2017" / image["file_name"]
        assert unpacked.read_bytes() == original.read_bytes()


def test_corrected_labels_change_the_table_alone(converted: Convert, tmp_path: Path) -> None:
    first = converted(small_raw(tmp_path / "raw"))
    files = members(packed(first, tmp_path / "first.zip"))
    name = "annotations/instances_train.json"
    document = json.loads(files[name])
    document["annotations"][0]["bbox"] = [0, 0, 19.5, 11]
    document["annotations"].pop()
    (tmp_path / "back").mkdir()
    with zipfile.ZipFile(tmp_path / "back/second.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in (files | {name: json.dumps(document).encode()}).items():
            archive.writestr(member, data)
    (tmp_path / "raw2").mkdir()
    copy_directory(tmp_path / "back", tmp_path / "raw2", splits={})
    second = converted(tmp_path / "raw2")
    before, after = tables_and_shards(first), tables_and_shards(second)
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"train/annotations/instances.parquet"}
    assert tables.read_document(second[1], "instances") == document


def test_file_names_with_folders_and_of_any_script(converted: Convert, tmp_path: Path) -> None:
    names = {1: "a/b/1.jpg", 2: "größe 猫.jpg", 3: "./c//3.jpg", 4: "1.jpg", 5: "e\u0301.jpg"}
    document = instances(list(names))
    for image in document["images"]:
        image["file_name"] = names[image["id"]]
    files = {f"train/{name}": picture(number) for number, name in names.items()}
    files |= {"annotations/instances_train.json": document, **official([9], "val")}
    first = converted(write_files(tmp_path / "raw", files))
    found = members(packed(first, tmp_path / "back/it.zip"))
    assert {name for name in found if name.startswith("images/train/")} == {
        "images/train/a/b/1.jpg",
        "images/train/größe 猫.jpg",
        "images/train/c/3.jpg",
        "images/train/1.jpg",
        "images/train/e\u0301.jpg",
    }
    assert documents(found)["annotations/instances_train.json"] == document
    assert tables_and_shards(converted(tmp_path / "back")) == tables_and_shards(first)


def test_the_same_data_are_the_same_bytes(
    converted: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = small_raw(tmp_path / "raw")
    one = packed(converted(raw), tmp_path / "one.zip")
    monkeypatch.setattr("time.time", lambda: 2e9)
    other = packed(converted(raw, workers=1), tmp_path / "folder/other.zip")
    assert one.read_bytes() == other.read_bytes()


def test_images_are_stored_documents_deflated_and_all_can_be_read(
    converted: Convert, tmp_path: Path
) -> None:
    path = packed(converted(small_raw(tmp_path / "raw")), tmp_path / "it.zip")
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            is_image = member.filename.startswith("images/")
            method = zipfile.ZIP_STORED if is_image else zipfile.ZIP_DEFLATED
            assert member.compress_type == method
            assert member.external_attr >> 16 == 0o100644
            assert member.extract_version <= 20  # older readers than those of zip64


def test_large_data_are_in_zip64(
    converted: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted(small_raw(tmp_path / "raw"))
    with monkeypatch.context() as patched:
        patched.setattr(zipfile, "ZIP64_LIMIT", 1000)
        path = packed(first, tmp_path / "back/it.zip")
    with zipfile.ZipFile(path) as archive:
        extended = {member.filename for member in archive.infolist() if member.extra}
    assert "annotations/instances_train.json" in extended
    assert members(path) == members(packed(first, tmp_path / "small.zip"))
    assert tables_and_shards(converted(tmp_path / "back")) == tables_and_shards(first)


def test_what_is_held_in_memory_does_not_matter(
    converted: Convert, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = official(range(40))
    document = files["annotations/instances_train.json"]
    document["annotations"] = document["annotations"][::3] + document["annotations"][1::3]
    document["annotations"] += [
        {**annotation, "id": annotation["id"] + 1000} for annotation in document["annotations"]
    ]
    whole = converted(write_files(tmp_path / "raw", files))
    monkeypatch.setattr(tables, "TABLE_ROW_GROUP", 4)
    monkeypatch.setattr(table_writer, "TABLE_ROW_GROUP", 4)
    monkeypatch.setattr(export, "HELD_OBJECTS", 3)
    monkeypatch.setattr(export, "IN_MEMORY_BYTES", 100)
    in_pieces = converted(tmp_path / "raw")
    found = members(packed(in_pieces, tmp_path / "in_pieces.zip"))
    assert documents(found) == {"annotations/instances_train.json": document}
    monkeypatch.undo()
    assert members(packed(whole, tmp_path / "whole.zip")) == found


def test_progress_and_what_was_written(converted: Convert, tmp_path: Path) -> None:
    _, train, val = converted(small_raw(tmp_path / "raw"))
    steps: list[int] = []
    done = export_zip([train, val], tmp_path / "it.zip", advance=steps.append)
    assert sum(steps) == 12
    assert [(each.split, each.images, each.documents) for each in done] == [
        ("train", 9, ("instances",)),
        ("val", 3, ("instances",)),
    ]


def test_an_existing_zip_is_left_alone(converted: Convert, tmp_path: Path) -> None:
    first = converted(small_raw(tmp_path / "raw"))
    (tmp_path / "it.zip").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        packed(first, tmp_path / "it.zip")
    assert (tmp_path / "it.zip").read_bytes() == b"mine"


def test_documents_that_write_one_path_in_two_ways(converted: Convert, tmp_path: Path) -> None:
    captions = instances(range(9))
    for image in captions["images"]:
        image["file_name"] = f"./{image['file_name']}"
    captions["annotations"] = [{"id": 1, "image_id": 1, "caption": "noise"}]
    del captions["categories"]
    raw = write_files(small_raw(tmp_path / "raw"), {"annotations/captions_train.json": captions})
    first = converted(raw)
    path = tmp_path / "back/it.zip"
    path.parent.mkdir()
    advanced: list[int] = []
    told = [str(each) for each in export_zip(first[1:], path, advance=advanced.append)]
    assert told == ["train, 9 images, instances, captions", "val, 3 images, instances"]
    assert sum(advanced) == 12
    assert documents(members(path))["annotations/captions_train.json"] == captions
    assert tables_and_shards(converted(tmp_path / "back")) == tables_and_shards(first)
