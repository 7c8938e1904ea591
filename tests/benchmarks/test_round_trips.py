"""The round trips that are measured are ones that change a box and no more."""

from pathlib import Path

import pytest
from benchmarks.data.changes import Entries, relabelled, write_raw
from benchmarks.data.round_trips import BACK, RENAMING, told

from tests.coco_files import instances, picture
from tests.converting import convert_into

IMAGES = 100


def converted(entries: Entries, folder: Path) -> Path:
    write_raw(entries, folder / "raw", "all")
    convert_into(folder / "raw", folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def base() -> Entries:
    document = instances(range(1, IMAGES + 1))
    entries = zip(document["images"], document["annotations"], strict=True)
    return {image["id"]: (image, picture(image["id"]), [one]) for image, one in entries}


@pytest.mark.parametrize("change", BACK)
def test_one_box_is_moved_and_nobody_changes_sides(
    base: Entries, tmp_path: Path, change: str
) -> None:
    before = converted(base, tmp_path / "before")
    counts = told(before, converted(BACK[change](base), tmp_path / "after"))
    assert counts.pop("renumbered") > 0.9 * IMAGES
    assert counts == {
        "changed_sides": 0,
        "renamed": IMAGES if change in RENAMING else 0,
        "moved": 1,
        "anything_else": 0,
    }


def test_what_changes_otherwise_is_counted(base: Entries, tmp_path: Path) -> None:
    before = converted(base, tmp_path / "before")
    other = relabelled({number: entry for number, entry in base.items() if number > 1})
    counts = told(before, converted(other, tmp_path / "after"))
    assert counts == {
        "changed_sides": 1,
        "renamed": 0,
        "renumbered": 0,
        "moved": 0,
        "anything_else": 1,
    }
