"""`cocopipe export` of what is here, and of what a tag names, without checking it out."""

import json
from pathlib import Path

import pytest

from tests.stages.conftest import Clone

pytestmark = pytest.mark.slow


def raw_of(clone: Clone) -> dict[str, bytes]:
    raw = clone.root / "data/raw"
    return {
        path.relative_to(raw).as_posix(): path.read_bytes()
        for path in raw.rglob("*")
        if path.is_file()
    }


def equal(exported: Path, raw: dict[str, bytes]) -> bool:
    found = {
        path.relative_to(exported).as_posix(): path.read_bytes()
        for path in exported.rglob("*")
        if path.is_file()
    }

    def content(name: str, data: bytes) -> object:
        return json.loads(data) if name.endswith(".json") else data

    return {name: content(name, data) for name, data in found.items()} == {
        name: content(name, data) for name, data in raw.items()
    }


def test_export_gives_back_the_source_of_any_version(
    finished: Clone, two_versions: Clone, tmp_path: Path
) -> None:
    first, second = raw_of(finished), raw_of(two_versions)
    assert first != second

    said = two_versions.run("cocopipe", "export", str(tmp_path / "now")).stdout
    assert said == f"{tmp_path / 'now'}: sample, 44 images, instances\n"
    assert equal(tmp_path / "now", second)
    two_versions.run("cocopipe", "export", str(tmp_path / "old"), "--rev", "data-v1")
    assert equal(tmp_path / "old", first)
    assert two_versions.run("git", "status", "--porcelain").stdout == ""


def test_labels_corrected_in_a_zip_come_back(copied: Clone, tmp_path: Path) -> None:
    before = copied.lock()["convert"]["outs"]
    exported = copied.root / "data/source/labels.zip"
    exported.parent.mkdir(exist_ok=True)
    said = copied.run("cocopipe", "export", str(exported), "--zip").stdout
    assert said == f"{exported}: sample, 40 images, instances\n"
    copied.set(download__source="directory")
    copied.repro("convert")
    assert copied.lock()["convert"]["outs"] == before


def test_other_formats(copied: Clone, tmp_path: Path) -> None:
    said = copied.run("cocopipe", "export", str(tmp_path / "yolo"), "--format", "yolo").stdout
    assert [line.split(": ")[1].split(",")[0] for line in said.splitlines()] == ["train", "val"]
    assert "crowds left out" in said
    images = sorted(path.stem for path in (tmp_path / "yolo/images/train").iterdir())
    assert images == sorted(path.stem for path in (tmp_path / "yolo/labels/train").iterdir())
    copied.run("cocopipe", "export", str(tmp_path / "hf"), "--format", "hf")
    names = [path.name for path in sorted((tmp_path / "hf/data").iterdir())]
    assert names == ["train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"]
    both = copied.run(
        "cocopipe", "export", str(tmp_path / "x"), "--zip", "--format", "yolo", ok=False
    )
    assert both.returncode == 2
    assert "not allowed with argument" in both.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{old}"], "exists already"),
        (["new", "--rev", "nothing"], "nothing is no revision"),
    ],
)
def test_what_cannot_be_exported_is_one_sentence(
    finished: Clone, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    arguments = [each.format(old=tmp_path) for each in arguments]
    done = finished.run("cocopipe", "export", *arguments, ok=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (finished.root / "new").exists()
