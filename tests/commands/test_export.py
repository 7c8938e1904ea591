"""`cocopipe export` of splits that have no boxes, as COCO's pictures for testing."""

from pathlib import Path

import pytest

from tests.commands.conftest import Ask


@pytest.mark.parametrize(
    ("form", "splits"),
    [
        ("yolo", ["images/train", "images/val", "labels/train", "labels/val"]),
        ("hf", ["data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"]),
    ],
)
def test_what_has_boxes_is_exported(ask: Ask, tmp_path: Path, form: str, splits: list[str]) -> None:
    out = tmp_path / "out"
    said = ask("export", str(out), "--format", form)
    assert said.code == 0, said.err
    left = "test, 3 images left out: it has no boxes, only image_info"
    assert said.out.splitlines()[-1] == f"{out}: {left}"
    assert len(said.out.splitlines()) == 3
    found = sorted(path.relative_to(out).as_posix() for path in out.glob("*/*"))
    assert found == splits


def test_coco_has_all_of_it(ask: Ask, tmp_path: Path) -> None:
    said = ask("export", str(tmp_path / "out"))
    assert said.code == 0
    assert "test2017, 3 images, image_info" in said.out
