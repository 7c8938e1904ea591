"""The files of raw data, those in its zips too: none leads out, and none is there twice."""

import os
import zipfile
from pathlib import Path

import pytest

from cocopipe.coco.layout import open_raw
from cocopipe.coco.names import leads_out
from cocopipe.errors import UserError
from tests.coco.reading import DOC, JPG, entry_of, read
from tests.coco_files import official, picture, write_files, write_zip
from tests.converting import IMAGE, refusal, zip_of


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


@pytest.mark.parametrize("name", ["a:1.jpg", "12:30.jpg", "c:"])
def test_colons_in_names_lead_nowhere(name: str) -> None:
    assert not leads_out(name)


def test_a_file_name_that_is_no_unicode_is_named(tmp_path: Path) -> None:
    write_files(tmp_path, official([1]))
    (tmp_path / "train" / "\udcff.jpg").write_bytes(JPG)
    with pytest.raises(UserError, match=r"\\xff\.jpg' has a name that is not Unicode"):
        read(tmp_path)


def test_zips_are_closed_afterwards(tmp_path: Path) -> None:
    write_zip(tmp_path / "data.zip", official([1]))
    with open_raw(tmp_path) as source:
        entry = source.splits[0].images["1.jpg"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(entry.archive.descriptor)


@pytest.mark.parametrize("part", ["middle", "central directory", "last byte"])
def test_a_truncated_zip_is_named(tmp_path: Path, part: str) -> None:
    path = zip_of(tmp_path / "raw", {})
    data = path.read_bytes()
    ends = {
        "middle": len(data) // 2,
        "central directory": data.rindex(IMAGE.encode()),
        "last byte": -1,
    }
    path.write_bytes(data[: ends[part]])
    assert f"{path} is no readable zip" in refusal(tmp_path / "raw")


@pytest.mark.parametrize(
    "name",
    [
        "../x.jpg",
        "/abs.jpg",
        "C:\\x.jpg",
        "a\\..\\..\\b.jpg",
        "train/../../x.jpg",
        "\\\\host\\share\\x.jpg",
    ],
)
def test_a_zip_with_a_name_that_climbs_out_is_named(tmp_path: Path, name: str) -> None:
    path = zip_of(tmp_path / "raw", {name: picture(9)})
    assert f"{path} has a member named {name!r}" in refusal(tmp_path / "raw")
