"""The layout has a number: what is of another one is answered with a sentence."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cocopipe.commands.versions import find
from cocopipe.errors import UserError
from cocopipe.export.coco import export
from cocopipe.split import tables
from cocopipe.split.images import ImageStore
from cocopipe.split.layout import KEY, LAYOUT
from cocopipe.tracking.facts import facts
from tests.coco_files import official, write_files

Splits = Callable[..., Any]

KEPT = Path(__file__).parent / "layout_2.zip"
"""Splits in layout 2, as it was when it came, and the documents and images that they hold."""


def numbered(path: Path, number: int | None) -> None:
    """Have a file of a split say that it is in another layout."""
    table = pq.read_table(path)
    metadata = {key: value for key, value in table.schema.metadata.items() if key != KEY}
    if number is not None:
        metadata[KEY] = str(number).encode()
    pq.write_table(table.replace_schema_metadata(metadata), path)


@pytest.fixture
def split(tmp_path: Path, to_splits: Splits) -> Path:
    train, _ = to_splits(write_files(tmp_path / "raw", official([1, 2]) | official([3], "val")))
    return train


def test_every_file_has_the_number(split: Path) -> None:
    paths = [*split.rglob("*.parquet")]
    assert len(paths) == 2
    assert {pq.read_schema(path).metadata[KEY] for path in paths} == {str(LAYOUT).encode()}


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (
            None,
            "is in layout 1, and this version reads layout 2: write it anew, from the same source,"
            " with `dvc repro convert`, or read it with commit fc238ed of cocopipe",
        ),
        (
            3,
            "is in layout 3, and this version reads layout 2: use the version of cocopipe that"
            " wrote it, or a later one",
        ),
    ],
)
def test_another_layout_is_a_sentence(split: Path, number: int | None, sentence: str) -> None:
    (table,) = (split / "annotations").iterdir()
    numbered(table, number)
    for read in (
        lambda: tables.read_document(split, "instances"),
        lambda: tables.summary(split, "instances"),
        lambda: ImageStore(split),
    ):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value) == f"{table} {sentence}"
    # Lineage records such data too; it just knows no facts of their content.
    assert facts(split) is None
    assert list(find(str(split)).splits) == [split.as_posix()]


def test_a_shard_of_another_layout_is_a_sentence(split: Path) -> None:
    (shard,) = (split / "images").iterdir()
    numbered(shard, None)
    store = ImageStore(split)
    with pytest.raises(UserError, match="is in layout 1, and this version reads layout 2"):
        store.read(store.sha256[0])


def test_what_this_layout_held_when_it_came_is_still_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(KEPT) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "out").mkdir()
    export([tmp_path / "data" / role for role in ("train", "val", "test")], tmp_path / "out")
    expected = {
        path.relative_to(tmp_path / "source"): path
        for path in (tmp_path / "source").rglob("*")
        if path.is_file()
    }
    found = {
        path.relative_to(tmp_path / "out"): path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found.keys() == expected.keys()
    for name, path in found.items():
        if path.suffix == ".json":
            assert json.loads(path.read_text()) == json.loads(expected[name].read_text())
        else:
            assert path.read_bytes() == expected[name].read_bytes()


def test_raw_data_in_a_layout_like_ours_are_no_split(tmp_path: Path, to_splits: Splits) -> None:
    """As CVAT has them: annotations beside images."""
    files = official([1, 2]) | official([3], "val")
    cvat = {
        name if "/" in name and name.startswith("annotations") else f"images/{name}": data
        for name, data in files.items()
    }
    train, _ = to_splits(write_files(tmp_path / "data" / "raw", cvat))
    train.rename(tmp_path / "data" / "train")
    (tmp_path / "data" / "raw" / "annotations" / "notes.parquet").write_bytes(b"none")
    assert [Path(name).name for name in find(str(tmp_path / "data")).splits] == ["train"]
    with pytest.raises(UserError, match="is no converted split and has none in it"):
        find(str(tmp_path / "data" / "raw"))
