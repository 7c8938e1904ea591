import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cocopipe.coco.names import BESIDE, IMAGE_SUFFIXES
from cocopipe.errors import UserError
from cocopipe.sources.directory import copy_directory
from tests.coco_files import HEIC
from tests.converting import convert_into


def write(root: Path, *names: str, text: str = "{}") -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{name}: pixels" if name.endswith("jpg") else text)
    return root


def zipped(path: Path, *names: str) -> None:
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")


def taken(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


OFFICIAL = ("annotations/instances_train.json", "annotations/captions_train.json", "train/a.jpg")


@pytest.mark.parametrize(
    "names",
    [
        OFFICIAL,
        ("annotations/instances_train.json", "images/train/a.jpg", "images/train/deep/b.JPG"),
        ("annotations/instances_train.json", "images/a.jpg", "images/b.png"),
        (
            "train/_annotations.coco.json",
            "train/a.jpg",
            "valid/_annotations.coco.json",
            "valid/b.jpg",
        ),
    ],
    ids=["official", "images", "flat", "beside"],
)
def test_known_layouts_are_copied_as_they_are(
    source: Path, out: Path, names: tuple[str, ...]
) -> None:
    write(source, *names)
    (origin,), notes = copy_directory(source, out, splits={})
    assert notes == ()
    assert taken(out) == set(names)
    assert all((out / name).read_bytes() == (source / name).read_bytes() for name in names)
    assert origin.url == source.as_posix()
    assert origin.size_bytes == sum((source / name).stat().st_size for name in names)


def test_what_does_not_belong_stays_behind(source: Path, out: Path) -> None:
    write(source, *OFFICIAL)
    write(
        source,
        "README.md",
        ".gitkeep",
        ".git/config",
        "train/.DS_Store",
        "train/Thumbs.db",
        "train/notes.txt",
        "train/.hidden.jpg",
        "annotations/readme.txt",
    )
    copy_directory(source, out, splits={})
    assert taken(out) == set(OFFICIAL)


def test_what_may_belong_is_for_the_converter_to_tell(source: Path, out: Path) -> None:
    more = ("package.json", "unlabelled/c.jpg", "annotations/instances_val.json", "deep/a/x.JSON")
    write(source, *OFFICIAL, *more)
    copy_directory(source, out, splits={})
    assert taken(out) == {*OFFICIAL, *more}


def test_archives_are_copied_verbatim(source: Path, out: Path) -> None:
    zipped(source / "train.zip", "train/a.jpg")
    zipped(source / "labels.zip", "annotations/instances_train.json")
    zipped(source / "deep" / "more.ZIP", "b\\c.jpg")
    zipped(source / "code.zip", "main.py")
    copy_directory(source, out, splits={})
    assert taken(out) == {"train.zip", "labels.zip", "deep/more.ZIP"}
    assert (out / "train.zip").read_bytes() == (source / "train.zip").read_bytes()


def test_zips_in_zips_are_left_out_and_said(source: Path, out: Path) -> None:
    write(source, *OFFICIAL)
    zipped(source / "x.zip", "x/train.zip")
    zipped(source / "y.zip", "b.jpg", "y/VAL.ZIP")
    _, notes = copy_directory(source, out, splits={})
    assert taken(out) == {*OFFICIAL, "y.zip"}
    assert notes == (
        "2 zips in zips left out, unpack the outer one: x.zip/x/train.zip, y.zip/y/VAL.ZIP",
    )


def test_a_folder_that_is_called_a_zip(source: Path, out: Path) -> None:
    names = ("annotations/instances_train.json", "a.zip/1.jpg")
    copy_directory(write(source, *names), out, splits={})
    assert taken(out) == set(names)


@pytest.mark.parametrize("beside", [(), ("a.jpg",), ("a.json",)])
def test_a_zip_in_a_zip_may_be_why_there_is_no_dataset(
    source: Path, out: Path, beside: tuple[str, ...]
) -> None:
    write(source, *beside)
    zipped(source / "x.zip", "x/train.zip")
    with pytest.raises(UserError, match=r"; train\.zip is in a zip: unpack that\.$"):
        copy_directory(source, out, splits={})


def test_documents_with_a_zip_of_images(source: Path, out: Path) -> None:
    write(source, "annotations/instances_train.json")
    zipped(source / "train.zip", "a.jpg")
    copy_directory(source, out, splits={})
    assert taken(out) == {"annotations/instances_train.json", "train.zip"}


def test_named_splits_become_the_official_layout(source: Path, out: Path) -> None:
    write(source, "pics/one/a.jpg", "pics/one/deep/b.jpg", "pics/two/c.jpg", "labels.json")
    write(source, "more/captions_train.json", "v.json")
    splits: dict[str, dict[str, Any]] = {
        "train": {"images": "pics/one", "annotations": ["labels.json", "more/captions_train.json"]},
        "val": {"images": "pics/two", "annotations": "v.json"},
    }
    copy_directory(source, out, splits=splits)
    assert taken(out) == {
        "train/a.jpg",
        "train/deep/b.jpg",
        "val/c.jpg",
        "annotations/instances_train.json",
        "annotations/captions_train.json",
        "annotations/instances_val.json",
    }


def test_what_no_named_split_has_is_said(source: Path, out: Path) -> None:
    write(source, "a.json", "pics/a.jpg", "pics/more/b.jpg", "rest/c.jpg", "rest/d.jpg")
    write(source, "b.json", ".hidden.json", "notes.txt")
    zipped(source / "c.zip", "d.jpg")
    (source / "link").symlink_to("/usr")
    splits = {"train": {"images": "pics/more", "annotations": "a.json"}}
    _, notes = copy_directory(source, out, splits=splits)
    assert taken(out) == {"train/b.jpg", "annotations/instances_train.json"}
    assert notes == (
        "1 documents that no split names left behind: b.json",
        "1 zips that no split names left behind: c.zip",
        "2 folders with images that no split names left behind: pics/, rest/",
    )


def test_a_single_folder_can_be_named_as_a_split(source: Path, out: Path) -> None:
    write(source, "_annotations.coco.json", "a.jpg")
    copy_directory(
        source, out, splits={"train": {"images": ".", "annotations": "_annotations.coco.json"}}
    )
    assert taken(out) == {"train/a.jpg", "annotations/instances_train.json"}


def test_the_users_files_are_not_linked(source: Path, out: Path) -> None:
    write(source, *OFFICIAL)
    copy_directory(source, out, splits={})
    for name in OFFICIAL:
        assert (out / name).stat().st_ino != (source / name).stat().st_ino
        assert (source / name).stat().st_nlink == 1
        assert not (out / name).is_symlink()


def test_symlinks_within_the_source_are_followed(source: Path, out: Path) -> None:
    write(source, "annotations/instances_train.json", "store/a.jpg", "b.jpg")
    (source / "train").symlink_to("store")
    (source / "store" / "b.jpg").symlink_to("../b.jpg")
    copy_directory(source, out, splits={})
    images = {"store/a.jpg", "store/b.jpg", "train/a.jpg", "train/b.jpg", "b.jpg"}
    assert taken(out) == {"annotations/instances_train.json", *images}
    assert not any(path.is_symlink() for path in out.rglob("*"))


@pytest.mark.parametrize(
    "link", ["train", "train/b.jpg", "annotations/captions_train.json", "t.zip"]
)
def test_symlinks_out_of_the_source_are_refused(source: Path, out: Path, link: str) -> None:
    write(source, "annotations/instances_train.json")
    if link != "train":
        write(source, "train/a.jpg")
    outside = write(source.parent / "outside", "a.jpg")
    (source / link).symlink_to(outside if link == "train" else outside / "a.jpg")
    with pytest.raises(UserError, match=r"is a symlink to .* outside"):
        copy_directory(source, out, splits={})


def test_broken_and_circular_symlinks_are_refused(source: Path, out: Path) -> None:
    write(source, *OFFICIAL)
    (source / "train" / "loop").symlink_to("..")
    with pytest.raises(UserError, match="a folder that it lies in"):
        copy_directory(source, out, splits={})
    (source / "train" / "loop").unlink()
    (source / "train" / "z.jpg").symlink_to("nowhere.jpg")
    with pytest.raises(UserError, match=r"z\.jpg is a symlink to .* which does not exist"):
        copy_directory(source, out, splits={})
    (source / "train" / "z.jpg").unlink()
    (source / "train" / "z.jpg").symlink_to("z.jpg")
    with pytest.raises(UserError, match=r"z\.jpg is a symlink to .* which does not exist"):
        copy_directory(source, out, splits={})


@pytest.mark.parametrize(
    ("places", "message"),
    [
        ({"images": "/etc", "annotations": "a.json"}, "'/etc' leads out"),
        ({"images": "../x", "annotations": "a.json"}, "'../x' leads out"),
        ({"images": "train/../..", "annotations": "a.json"}, "leads out"),
        ({"images": "nowhere", "annotations": "a.json"}, "nowhere does not exist"),
        ({"images": "train/a.jpg", "annotations": "a.json"}, "is no folder"),
        ({"images": "empty", "annotations": "a.json"}, "has no images"),
        ({"images": "train", "annotations": "b.json"}, "b.json does not exist"),
        ({"images": "train", "annotations": "train"}, "is no file"),
        ({"images": "train", "annotations": 3}, "3 is not a path"),
        ({"images": "train", "annotations": ["a.json", "c.json"]}, "would both be the 'instances'"),
        ({"images": "train"}, "needs exactly 'images'"),
        ({"images": "train", "annotation": "a.json"}, "not annotation, images"),
    ],
)
def test_wrong_places_are_refused(
    source: Path, out: Path, places: dict[str, Any], message: str
) -> None:
    write(source, "a.json", "c.json", "train/a.jpg")
    (source / "empty").mkdir()
    with pytest.raises(UserError, match=message):
        copy_directory(source, out, splits={"train": places})


@pytest.mark.parametrize("name", ["../train", "a/b", ".hidden", "", "annotations", "images"])
def test_wrong_split_names_are_refused(source: Path, out: Path, name: str) -> None:
    write(source, "a.json", "train/a.jpg")
    with pytest.raises(UserError, match="can't be the name of a split"):
        copy_directory(source, out, splits={name: {"images": "train", "annotations": "a.json"}})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("annotations/instances_train.json", "train/a.psd"), "but no images: those that are read"),
        ((".gitkeep",), "is empty; put a COCO dataset there"),
        (("train/a.jpg",), "has no COCO annotations: a JSON file"),
        (("annotations/instances_train.json",), r"\(annotations/instances_train.json\) but no"),
        (("train/_annotations.coco.json",), r"\(train/_annotations.coco.json\) but no images"),
    ],
)
def test_what_is_no_dataset_is_refused(
    source: Path, out: Path, names: tuple[str, ...], message: str
) -> None:
    write(source, *names)
    with pytest.raises(UserError, match=message) as caught:
        copy_directory(source, out, splits={})
    assert str(caught.value).startswith(str(source))
    assert taken(out) == set()


def test_missing_folder_file_and_damaged_zip(source: Path, out: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist"):
        copy_directory(source / "nowhere", out, splits={})
    write(source, "a.jpg", "train.zip")
    with pytest.raises(UserError, match="is a file, not a folder"):
        copy_directory(source / "a.jpg", out, splits={})
    with pytest.raises(UserError, match=r"train\.zip is no readable zip"):
        copy_directory(source, out, splits={})


def _of_version_99(data: bytearray) -> None:
    data[data.index(b"PK\x01\x02") + 6] = 99


def _of_no_unicode(data: bytearray) -> None:
    header = data.index(b"PK\x01\x02")
    data[header + 9] |= 0x8  # says that the name is UTF-8
    data[header + 46] = 0xFF


@pytest.mark.parametrize("damage", [_of_version_99, _of_no_unicode])
def test_zips_that_cannot_be_listed(
    source: Path, out: Path, damage: Callable[[bytearray], None]
) -> None:
    zipped(source / "train.zip", "train/a.jpg")
    data = bytearray((source / "train.zip").read_bytes())
    damage(data)
    (source / "train.zip").write_bytes(data)
    with pytest.raises(UserError, match=r"train\.zip is no readable zip"):
        copy_directory(source, out, splits={})


@pytest.mark.parametrize(
    "images",
    [
        {"train": "images/1.{}", "val": "images/2.{}"},
        {"train": "images/train/1.{}", "val": "images/val/2.{}"},
        {"train": "train/1.{}", "val": "val/2.{}"},
    ],
    ids=["flat", "images", "official"],
)
@pytest.mark.parametrize("beside", [False, True], ids=["annotations", "beside"])
@pytest.mark.parametrize("suffix", sorted(IMAGE_SUFFIXES))
def test_what_is_copied_can_be_converted(
    source: Path, out: Path, images: dict[str, str], beside: bool, suffix: str
) -> None:
    for split, name in images.items():
        path = source / name.format(suffix[1:])
        beside_images = beside and path.parent.name == split
        document = path.with_name(BESIDE) if beside_images else _official(source, split)
        for one in (path, document):
            one.parent.mkdir(parents=True, exist_ok=True)
        image = {"id": int(path.stem), "file_name": path.name}
        if suffix in (".heic", ".heif"):
            path.write_bytes(HEIC)
        else:
            Image.new("RGB", (8, 8)).save(path)
        document.write_text(json.dumps({"images": [image], "annotations": []}))
    copy_directory(source, out, splits={})
    conversion, *_ = convert_into(out, out.parent / "data")
    assert [conversion.splits[role].stored.images for role in ("train", "val")] == [1, 1]


def _official(source: Path, split: str) -> Path:
    return source / "annotations" / f"instances_{split}.json"


def test_a_source_around_the_output_is_refused(tmp_path: Path) -> None:
    write(tmp_path, *OFFICIAL)
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="holds the pipeline's own output"):
        copy_directory(tmp_path, tmp_path / "out", splits={})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(source: Path, out: Path) -> None:
    write(source, *OFFICIAL)
    (source / "train" / "a.jpg").chmod(0)
    with pytest.raises(UserError, match=r"a\.jpg: cannot be copied \(Permission denied\)"):
        copy_directory(source, out, splits={})


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "images", "documents"),
    [
        ("coco128", 128, {"annotations/instances_train2017.json"}),
        ("raccoon", 196, {"train/_annotations.coco.json"}),
        ("edge_cases/string_rle", 2, {"annotations/instances_val2017.json"}),
    ],
)
def test_real_sets(real_data: Path, out: Path, name: str, images: int, documents: set[str]) -> None:
    copy_directory(real_data / name, out, splits={})
    names = taken(out)
    assert {n for n in names if n.endswith(".json")} == documents
    assert len(names) == images + len(documents)
    for document in documents:
        assert json.loads((out / document).read_text()) == json.loads(
            (real_data / name / document).read_text()
        )
