"""What tools export is taken by its folder alone, and comes out again as it was."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cocopipe.export.coco import export
from cocopipe.sources.directory import copy_directory
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import documents, read_table, sources
from tests.coco_files import write_files, write_zip
from tests.converting import convert_into
from tests.tool_layouts import ONE, THREE, Laid, picture_of


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("laid", [*THREE.values(), *ONE.values()], ids=[*THREE, *ONE])
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
    parts = (train, val, train.parent / "test")
    assert conversion.ignored == ()
    only = next(iter(made.splits))  # may be called after the zip
    called = {} if len(made.splits) > 1 else dict.fromkeys(_sources(*parts), only)
    stored = {
        (called.get(row["source"], row["source"]), row["image_id"]): ImageStore(its).read(
            row["sha256"]
        )
        for its in parts
        for name in documents(its)
        for row in read_table(its, name, ["source", "image_id", "sha256"]).to_pylist()
    }
    assert stored == {
        (split, image["id"]): picture_of(split, image["id"])
        for split, document in made.splits.items()
        for image in document["images"]
    }
    out.mkdir()
    export(parts, out)
    found = {path.name: json.loads(path.read_text()) for path in out.rglob("*.json")}
    if len(made.splits) == 1 and zipped:
        (document,) = found.values()
        assert document == next(iter(made.splits.values()))
    else:
        assert found == {
            f"instances_{split}.json": document for split, document in made.splits.items()
        }


def _sources(*splits: Path) -> set[str]:
    return {
        each.split for split in splits for name in documents(split) for each in sources(split, name)
    }
