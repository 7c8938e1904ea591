"""What tools export is taken by its folder alone, and comes out again as it was."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cocopipe.export.coco import export
from cocopipe.sources.directory import copy_directory
from cocopipe.split.images import ImageStore
from tests.coco_files import write_files, write_zip
from tests.converting import convert_into
from tests.tool_layouts import ONE, TWO, Laid, picture_of


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("laid", [*TWO.values(), *ONE.values()], ids=[*TWO, *ONE])
def test_a_tool_s_export_is_recognised_and_comes_out_equal(
    tmp_path: Path, laid: Callable[[], Laid], zipped: bool
) -> None:
    made = laid()
    source, raw, out = tmp_path / "source", tmp_path / "raw", tmp_path / "out"
    if zipped:
        write_zip(source / "export.zip", made.files)
    else:
        write_files(source, made.files)
    raw.mkdir()
    copy_directory(source, raw, splits={})
    conversion, train, val = convert_into(raw, tmp_path / "data", validation_fraction=0.5)
    assert conversion.ignored == ()
    names = sorted(made.splits) if len(made.splits) == 2 else [*made.splits] * 2
    stored = {
        (split, image.image_id): image.data
        for split, its in zip(names, (train, val), strict=True)
        for image in ImageStore(its)
    }
    assert stored == {
        (split, image["id"]): picture_of(split, image["id"])
        for split, document in made.splits.items()
        for image in document["images"]
    }
    out.mkdir()
    export([train, val], out)
    documents = {path.name: json.loads(path.read_text()) for path in out.rglob("*.json")}
    if len(made.splits) == 1 and zipped:
        (document,) = documents.values()  # its split may be called after the zip
        assert document == next(iter(made.splits.values()))
    else:
        assert documents == {
            f"instances_{split}.json": document for split, document in made.splits.items()
        }
