import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from cocopipe.coco.layout import open_raw
from cocopipe.coco.names import leads_out
from cocopipe.errors import UserError
from tests.coco.coco_files import instances, official, picture, write_files, write_zip

DOC = instances([1])
JPG = picture(1)


def read(raw: Path) -> dict[str, tuple[list[str], dict[str, bytes]]]:
    """Splits to their document names and image bytes."""
    with open_raw(raw) as source:
        return {
            split.name: (
                sorted(split.documents),
                {name: entry.read() for name, entry in split.images.items()},
            )
            for split in source.splits
        }


@pytest.mark.parametrize(
    "files",
    [
        {"annotations/instances_val2017.json": DOC, "val2017/1.jpg": JPG},
        {"annotations/instances_val2017.json": DOC, "images/val2017/1.jpg": JPG},
        {"annotations/instances_val2017.json": DOC, "images/1.jpg": JPG},
        {"instances_val2017.json": DOC, "images/1.jpg": JPG},
        {"val2017/_annotations.coco.json": DOC, "val2017/1.jpg": JPG},
    ],
)
def test_layouts_of_files_and_of_one_zip_hold_the_same(tmp_path: Path, files: dict) -> None:
    write_files(tmp_path / "folder", files)
    write_zip(tmp_path / "zipped" / "data.zip", files, zipfile.ZIP_DEFLATED)
    for raw in (tmp_path / "folder", tmp_path / "zipped"):
        found = read(raw)
        assert list(found) == ["val2017"]
        documents, images = found["val2017"]
        assert documents == ["instances"]
        assert images["1.jpg"] == JPG


@pytest.mark.parametrize("member", ["val2017/1.jpg", "1.jpg"])
def test_official_zips_lie_beside_each_other(tmp_path: Path, member: str) -> None:
    write_zip(tmp_path / "val2017.zip", {member: JPG})
    documents = {f"annotations/instances_{split}.json": DOC for split in ("val2017", "train2017")}
    documents |= {"annotations/person_keypoints_val2017.json": DOC}
    write_zip(tmp_path / "annotations_trainval2017.zip", documents)
    assert read(tmp_path) == {"val2017": (["instances", "person_keypoints"], {"1.jpg": JPG})}
    with open_raw(tmp_path) as source:
        name = "annotations_trainval2017.zip: annotations/instances_train2017.json"
        assert source.ignored == (name,)


def test_annotations_in_a_folder_and_images_in_a_zip(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    assert read(tmp_path)["train"][1] == {"1.jpg": JPG}


def test_a_split_name_may_hold_underscores(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"annotations/person_keypoints_train_v2.json": DOC, "train_v2/a/1.jpg": JPG}
    )
    assert read(tmp_path) == {"train_v2": (["person_keypoints"], {"a/1.jpg": JPG})}


def test_flat_images_serve_every_document(tmp_path: Path) -> None:
    documents = {f"annotations/instances_{split}.json": DOC for split in ("train", "val")}
    write_files(tmp_path, documents | {"images/1.jpg": JPG})
    assert read(tmp_path) == dict.fromkeys(("train", "val"), (["instances"], {"1.jpg": JPG}))
    write_files(tmp_path, {"train/1.jpg": JPG})
    assert list(read(tmp_path)) == ["train"]


@pytest.mark.parametrize("suffix", ["jfif", "jpe", "JPG"])
def test_suffixes_of_images(tmp_path: Path, suffix: str) -> None:
    write_files(tmp_path, {"annotations/instances_val.json": DOC, f"val/1.{suffix}": JPG})
    assert read(tmp_path)["val"][1] == {f"1.{suffix}": JPG}


def test_image_folder_without_document_is_reported(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]) | {"test/9.jpg": JPG})
    with open_raw(tmp_path) as source:
        assert source.ignored == ("test/",)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "has no COCO annotations: expected annotations/<document>_<split>.json"),
        ({"train/1.jpg": JPG}, "has no COCO annotations"),
        (
            {"annotations/instances_train.json": DOC},
            "annotations for train but no images for them: put them into train/, images/train/ or",
        ),
        (
            {
                "annotations/instances_train.json": DOC,
                "train/_annotations.coco.json": DOC,
                "train/1.jpg": JPG,
            },
            "two instances documents of split train",
        ),
    ],
)
def test_what_is_no_dataset_is_refused(tmp_path: Path, files: dict, message: str) -> None:
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=message.replace("(", r"\(")), open_raw(tmp_path):
        pass


def test_missing_directory(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="nowhere is not a directory"),
        open_raw(tmp_path / "nowhere"),
    ):
        pass


def test_a_folder_and_a_zip_with_the_same_image(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]))
    write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    with pytest.raises(UserError, match=r"train/1\.jpg is both"), open_raw(tmp_path):
        pass


@pytest.mark.parametrize("name", ["../1.jpg", "/etc/1.jpg", "train/../../1.jpg", "c:\\1.jpg"])
def test_zip_members_that_lead_out(tmp_path: Path, name: str) -> None:
    write_zip(tmp_path / "train.zip", {name: JPG})
    with pytest.raises(UserError, match="has a member named"), open_raw(tmp_path):
        pass


def test_symlink_out_of_the_directory(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official([1]))
    (tmp_path / "secret.jpg").write_bytes(JPG)
    (raw / "train" / "2.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(UserError, match=r"2\.jpg is a symlink to .*secret\.jpg"), open_raw(raw):
        pass


def test_symlinked_folder_that_goes_in_circles(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official([1]))
    (raw / "train" / "again").symlink_to(raw / "train", target_is_directory=True)
    with pytest.raises(UserError, match="again is a symlink"), open_raw(raw):
        pass


@pytest.mark.parametrize("target", ["2.jpg", "nowhere.jpg"])
def test_symlink_to_itself_or_nothing(tmp_path: Path, target: str) -> None:
    raw = write_files(tmp_path / "raw", official([1]))
    (raw / "train" / "2.jpg").symlink_to(target)
    with pytest.raises(UserError, match=r"2\.jpg is a symlink .* does not exist"), open_raw(raw):
        pass


def test_links_inside_and_into_a_dvc_cache_are_followed(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official([1]))
    (raw / "train" / "2.jpg").symlink_to("1.jpg")
    cached = tmp_path / "cache" / "files" / "md5" / "ab" / ("c" * 30)
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"cached")
    (raw / "train" / "3.jpg").symlink_to(cached)
    assert read(raw)["train"][1] == {
        "1.jpg": picture(1),
        "2.jpg": picture(1),
        "3.jpg": b"cached",
    }


def test_bytes_that_are_no_zip(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]) | {"val.zip": b"not a zip"})
    with pytest.raises(UserError, match=r"val\.zip is no readable zip"), open_raw(tmp_path):
        pass


def test_a_zip_that_was_cut_off(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "train.zip", official([1, 2, 3]))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train\.zip is no readable zip"), open_raw(tmp_path):
        pass


def entry_of(path: Path, name: str = "1.jpg") -> bytes:
    return read(path)["train"][1][name]


def test_a_damaged_member_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    path = write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    data = path.read_bytes()
    at = data.index(JPG) + 100
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(UserError, match=r"train\.zip: train/1\.jpg is damaged in the zip"):
        entry_of(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [(20, 2**32 - 2), (24, 2**32 - 2), (42, 2**31)],
    ids=["packed size", "size", "offset"],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_damaged_central_directory_is_named(
    tmp_path: Path, field: int, value: int, method: int
) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    path = write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG}, method)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + field
    data[at : at + 4] = value.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train\.zip: train/1\.jpg is damaged in the zip"):
        entry_of(tmp_path)


def test_a_size_that_no_memory_has_is_named(tmp_path: Path) -> None:
    write_zip(tmp_path / "data.zip", official([1]), zipfile.ZIP_DEFLATED)
    with open_raw(tmp_path) as source:
        entry = replace(source.splits[0].images["1.jpg"], size_bytes=2**64 - 1)  # as ZIP64 can say
        with pytest.raises(UserError, match=r"train/1\.jpg is damaged in the zip"):
            entry.read()


def test_a_member_before_the_start_of_the_zip_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    path = write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    # Cut off at the front: zipfile takes the rest for a zip that begins earlier.
    path.write_bytes(path.read_bytes()[50:])
    with pytest.raises(UserError, match=r"train\.zip: train/1\.jpg is damaged in the zip"):
        entry_of(tmp_path)


@pytest.mark.parametrize("name", ["a:1.jpg", "12:30.jpg", "c:"])
def test_colons_in_names_lead_nowhere(name: str) -> None:
    assert not leads_out(name)


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    path = write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG})
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(data)
    with pytest.raises(UserError, match=r"train\.zip: train/1\.jpg is encrypted"):
        entry_of(tmp_path)


def test_a_zip_bomb_stops_at_its_declared_size(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    path = write_zip(tmp_path / "train.zip", {"train/1.jpg": bytes(10**7)}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UserError, match="is damaged in the zip"):
        entry_of(tmp_path)


def test_a_file_name_that_is_no_unicode_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]))
    (tmp_path / "train" / "\udcff.jpg").write_bytes(JPG)
    with pytest.raises(UserError, match=r"\\xff\.jpg' has a name that is not Unicode"):
        read(tmp_path)


def test_an_unusual_packing_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, {"annotations/instances_train.json": DOC})
    write_zip(tmp_path / "train.zip", {"train/1.jpg": JPG}, zipfile.ZIP_BZIP2)
    with pytest.raises(UserError, match="is packed by method 12"):
        entry_of(tmp_path)


def test_zips_are_closed_afterwards(tmp_path: Path) -> None:
    write_zip(tmp_path / "data.zip", official([1]))
    with open_raw(tmp_path) as source:
        entry = source.splits[0].images["1.jpg"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(entry.archive.descriptor)
