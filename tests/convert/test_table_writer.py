import json
import random
from pathlib import Path

import numpy as np
import pytest

from cocopipe.convert import gathered, table_writer
from cocopipe.convert.columns import read
from cocopipe.convert.gathered import Gathered
from cocopipe.convert.table_writer import Part, write_tables
from cocopipe.split import tables
from tests.coco_files import (
    InMemory,
    instances,
)
from tests.converting import nowhere, written


def test_objects_laid_aside_come_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = instances(range(300))
    document["annotations"] += [
        {"id": 10_000 + number, "image_id": number * 7 % 300, "category_id": 3}
        for number in range(900)
    ]
    random.Random(0).shuffle(document["annotations"])
    monkeypatch.setattr(tables, "TABLE_ROW_GROUP", 64)
    monkeypatch.setattr(table_writer, "TABLE_ROW_GROUP", 64)
    monkeypatch.setattr(gathered, "GROUP", 64)
    held = written(tmp_path / "held", document)
    monkeypatch.setattr(gathered, "HELD_BYTES", 1000)
    aside = written(tmp_path / "aside", document)
    name = "annotations/instances.parquet"
    assert (aside / name).read_bytes() == (held / name).read_bytes()
    assert [path.name for path in (aside / "annotations").iterdir()] == ["instances.parquet"]


def test_objects_laid_aside_and_then_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the document is of images that the table has not."""
    document = instances(range(40))
    document["annotations"] = [
        {**one, "id": 100 * one["image_id"] + copy}
        for one in document["annotations"]
        for copy in range(100)
    ]
    monkeypatch.setattr(gathered, "HELD_BYTES", 1000)
    parsed, images = read(InMemory(json.dumps(document).encode(), "it"), name="instances")
    taken = Gathered(parsed, images, np.array([0, 1]), tmp_path / "aside")
    for objects in parsed.annotations():
        for start in range(0, len(objects), 50):
            taken.add(objects.only(np.arange(len(objects)) // 50 == start // 50))
    assert sorted(taken.object_ids()) == list(range(200))
    write_tables("instances", [Part("", taken, nowhere(2))], {"train": tmp_path})
    rows = tables.read_table(tmp_path, "instances").to_pylist()
    assert [len(row["objects"]) for row in rows] == [100, 100]
