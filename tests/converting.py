"""Raw data converted, for the tests of any room."""

import io
import json
import math
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from cocopipe.convert.columns import DocumentColumns, read
from cocopipe.convert.convert import convert
from cocopipe.convert.found import DIGEST, Placed
from cocopipe.convert.gathered import Gathered
from cocopipe.convert.result import Conversion, Stored
from cocopipe.convert.roles import ROLES
from cocopipe.convert.settings import ConvertSettings, Role
from cocopipe.convert.table_writer import Part, write_tables
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.split import tables
from cocopipe.split.images import ImageStore
from tests.coco_files import InMemory, instances, official, picture, write_files, write_zip

SETTINGS = ConvertSettings(
    splits={},
    validation_fraction=0.3,
    test_fraction=0.0,
    group=None,
    shard_mb=1.0,
    subset=None,
    on_missing="error",
    on_mismatch="keep",
    verify="header",
)

Converted = tuple[Conversion, Path, Path]
"""The conversion, and the folders of train and val; that of test is beside them."""

Splits = tuple[Path, Path]


def convert_into(raw: Path, out: Path, *, workers: int = 2, **settings: Any) -> Converted:
    """Convert a raw folder into new folders of ``out``; settings are `SETTINGS` but for these."""
    folders: dict[Role, Path] = {role: out / role for role in ROLES}
    for split in folders.values():
        split.mkdir(parents=True)
    conversion = convert(raw, folders, replace(SETTINGS, **settings), workers=workers)
    return conversion, folders["train"], folders["val"]


@pytest.fixture
def converted(tmp_path: Path) -> Callable[..., Converted]:
    """Convert a raw folder; gives the conversion and the two splits."""
    count = iter(range(1000))

    def run(raw: Path, **settings: Any) -> Converted:
        return convert_into(raw, tmp_path / f"converted-{next(count)}", **settings)

    return run


@pytest.fixture
def to_splits(converted: Callable[..., Converted]) -> Callable[[Path], Splits]:
    """Convert a raw folder to its train and val split."""

    def run(raw: Path) -> Splits:
        _, train, val = converted(raw)
        return train, val

    return run


@pytest.fixture
def splits_of(
    tmp_path: Path, to_splits: Callable[[Path], Splits]
) -> Callable[[Mapping[str, Any]], Splits]:
    """Convert COCO documents, given by split; an image of noise for each one listed."""
    count = iter(range(100))

    def run(
        documents: Mapping[str, Any],
        name: str = "instances",
        damage: Callable[[bytes], bytes] = bytes,
    ) -> Splits:
        raw = tmp_path / f"raw-{next(count)}"
        (raw / "annotations").mkdir(parents=True)
        for split, document in documents.items():
            path = raw / "annotations" / f"{name}_{split}.json"
            path.write_text(json.dumps(document))
            (raw / split).mkdir()
            for image in [*document["images"], {"file_name": "unlisted.jpg"}]:
                (raw / split / image["file_name"]).write_bytes(damage(noise(image)))
        return to_splits(raw)

    return run


def noise(image: Mapping[str, Any]) -> bytes:
    size = (image.get("height", 60), image.get("width", 80), 3)
    pixels = np.random.default_rng(image.get("id", 0)).integers(60, 120, size, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


SOUND = official([1, 2], "train") | official([3], "val")
IMAGE = "train/1.jpg"
DOCUMENT = "annotations/instances_train.json"

either_verification = pytest.mark.parametrize("verify", ["header", "decode"])


def refusal(raw: Path, **settings: Any) -> str:
    """What is told of raw data that is converted as the stage does."""
    out = raw.parent / "out"
    with (
        pytest.raises(UserError) as caught,
        new_directory(out / "train") as train,
        new_directory(out / "val") as val,
        new_directory(out / "test") as test,
    ):
        folders: dict[Role, Path] = {"train": train, "val": val, "test": test}
        convert(raw, folders, replace(SETTINGS, **settings), workers=2)
    assert list(out.iterdir()) == []
    return one_sentence(str(caught.value))


def one_sentence(text: str) -> str:
    assert text
    assert "\n" not in text
    assert ". " not in text
    return text


def zip_of(raw: Path, changed: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    return write_zip(raw / "all.zip", SOUND | changed, method)


def encoded(image: Image.Image, kind: str = "JPEG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def with_size(width: int, height: int) -> dict[str, Any]:
    """The document of train, with an annotated size of its first image."""
    document = instances([1, 2])
    document["images"][0] |= {"width": width, "height": height}
    return document


CONVERT = """
import re, sys
from pathlib import Path
from cocopipe.convert.convert import convert
from cocopipe.convert.settings import ConvertSettings
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.stages.__main__ import INTERRUPTED, _unwritable_in_a_sentence

def peak_bytes():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

raw, out, verify = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
before = peak_bytes()
try:
    with (
        _unwritable_in_a_sentence(),
        new_directory(out / "train") as train,
        new_directory(out / "val") as val,
        new_directory(out / "test") as test,
    ):
        settings = ConvertSettings(
            splits={},
            validation_fraction=0.3,
            test_fraction=0.0,
            group=None,
            shard_mb=1.0,
            subset=None,
            on_missing="error",
            on_mismatch="keep",
            verify=verify,
        )
        convert(raw, {"train": train, "val": val, "test": test}, settings, workers=2)
except UserError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
finally:
    print(peak_bytes() - before)
"""
"""Converts as the stage does, tells errors as it does, and prints how much memory that took."""


def converting(
    raw: Path, out: Path, *, verify: str = "header", inside: tuple[str, ...] = (), **settings: Any
) -> subprocess.Popen[str]:
    out.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*inside, sys.executable, "-c", CONVERT, str(raw), str(out), verify],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


def store(folder: Path, image_ids: list[int]) -> tuple[Path, Stored]:
    """A split of images named after their ids, which lie in a folder beside it."""
    files: dict[str, Any] = official([999], "val")
    files |= {
        "annotations/instances_train.json": instances(image_ids),
        "train/none.jpg": picture(1),
        **{f"train/{number}.jpg": picture(number % 1000) for number in image_ids},
    }
    raw = write_files(folder / "raw", files)
    conversion, train, _ = convert_into(raw, folder, shard_mb=256)
    return train, conversion.splits["train"].stored


def ids(split: Path) -> list[int]:
    """The ids of the images that any document of a split lists, rising."""
    names = tables.documents(split)
    return sorted({each for name in names for each in tables.image_ids(split, name).tolist()})


def file_of(split: Path, image_id: int) -> bytes:
    """The file of an image, by its id."""
    for name in tables.documents(split):
        table = tables.read_table(split, name, ["image_id", "sha256"])
        for row in table.to_pylist():
            if row["image_id"] == image_id:
                return ImageStore(split).read(row["sha256"])
    raise KeyError(image_id)


def written(split: Path, document: dict[str, Any], name: str = "instances") -> Path:
    """A split with the table of a document."""
    split.mkdir(exist_ok=True)
    found = read(InMemory(json.dumps(document).encode(), name), name=name)
    assert found is not None
    return write_table(split, *found)


def write_table(split: Path, columns: DocumentColumns, images: pa.Table) -> Path:
    """Write a document's table with all of its images and objects."""
    ids = np.sort(columns.coco.image_ids)
    (split / "annotations").mkdir(exist_ok=True)
    gathered = Gathered(columns, images, ids, split / "annotations" / "aside")
    gathered.read()
    write_tables(
        columns.name, [Part("", gathered, nowhere(len(gathered.chosen)))], {"train": split}
    )
    return split


def nowhere(count: int) -> Placed:
    """Places of images that are in no store."""
    return Placed(
        sha256=np.array([f"{number:032d}" for number in range(count)], DIGEST),
        sizes=np.zeros((count, 2), np.int32),
        exif=np.ones(count, np.int8),
        turns=np.ones(count, np.int8),
        roles=np.zeros(count, np.int8),
        shards=np.zeros(count, np.int32),
        rows=np.arange(count, dtype=np.int32),
        names=["train"],
        shard_names=["none"],
    )


def strictly_equal(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 is 1.0, but true is not 1, and NaN is itself."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(strictly_equal(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(strictly_equal, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return one == other


def assert_comes_back(split: Path, document: dict[str, Any], name: str = "instances") -> None:
    written(split, document, name)
    assert strictly_equal(tables.read_document(split, name), document)
