"""docs/round_trip.md, step by step, with exports in the shapes of three annotation tools."""

import json
import random
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.stages.conftest import Clone

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "round_trip.md"

Json = dict[str, Any]


def blocks() -> list[list[str]]:
    """The blocks of commands of the page, without what takes long and shows nothing here."""
    found = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return [[line for line in block.splitlines() if line != "dvc repro"] for block in found]


def renumbered(document: Json, name: Callable[[int, str], str]) -> Json:
    """As tools export: ids and order of their own, images called otherwise; one box is moved."""
    chance = random.Random(0)
    images, annotations = [*document["images"]], [*document["annotations"]]
    chance.shuffle(images)
    chance.shuffle(annotations)
    ids = {image["id"]: number for number, image in enumerate(images)}
    names = {image["id"]: name(ids[image["id"]], image["file_name"]) for image in images}
    for number, one in enumerate(annotations):
        one |= {"id": number, "image_id": ids[one["image_id"]]}
    annotations[0]["bbox"] = [annotations[0]["bbox"][0] + 2, *annotations[0]["bbox"][1:]]
    return document | {
        "images": [
            image | {"id": ids[image["id"]], "file_name": names[image["id"]]} for image in images
        ],
        "annotations": annotations,
    }


def cvat(number: int, name: str) -> str:
    return name


def label_studio(number: int, name: str) -> str:
    return f"images/{random.Random(number).getrandbits(32):08x}-{name}"


def roboflow(number: int, name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"{stem}_{suffix}.rf.{random.Random(number).getrandbits(128):032x}.jpg"


PLACES: dict[Callable[[int, str], str], tuple[str, str]] = {
    cvat: ("annotations/instances_default.json", "images/default/{}"),
    label_studio: ("result.json", "{}"),
    roboflow: ("train/_annotations.coco.json", "train/{}"),
}
"""Where a tool's export has its document, and its images."""


def corrected(labels: Path, out: Path, tool: Callable[[int, str], str]) -> None:
    """What a tool makes of the labels that it was given."""
    with zipfile.ZipFile(labels) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".json"))
        document = json.loads(archive.read(name))
        pictures = {
            each.rpartition("/")[2]: archive.read(each)
            for each in archive.namelist()
            if each.startswith("images/")
        }
    old = {image["id"]: image["file_name"] for image in document["images"]}
    exported = renumbered(json.loads(json.dumps(document)), tool)
    chance = random.Random(0)
    order = [*document["images"]]
    chance.shuffle(order)
    at, picture_at = PLACES[tool]
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(at, json.dumps(exported))
        for image, before in zip(exported["images"], order, strict=True):
            archive.writestr(picture_at.format(image["file_name"]), pictures[old[before["id"]]])


@pytest.mark.parametrize("tool", PLACES, ids=lambda tool: tool.__name__)
def test_labels_come_back_and_no_picture_moves(
    finished: Clone, tmp_path: Path, tool: Callable[[int, str], str]
) -> None:
    clone = finished.copy(tmp_path / "project")
    clone.run("cocopipe", "export", "../original")
    shutil.copytree(tmp_path / "original", clone.root / "data" / "source", dirs_exist_ok=True)
    before = {
        split: {path.name: path.read_bytes() for path in (clone.root / split / "images").iterdir()}
        for split in ("data/train", "data/val")
    }
    first, second = blocks()
    for line in first:
        clone.run("bash", "-c", line)
    corrected(tmp_path / "labels.zip", tmp_path / "corrected.zip", tool)
    clone.set(download__source="directory")
    said = {line: clone.run("bash", "-c", line).stdout for line in second}
    for split, shards in before.items():
        folder = clone.root / split / "images"
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == shards
    told = said["cocopipe diff HEAD data"]
    found = json.loads(clone.run("cocopipe", "diff", "HEAD~1", "data", "--json").stdout)
    assert sum(each["boxes"]["moved"] for each in found.values()) == 1
    assert "1 moved" in told
    for each in found.values():
        images = each["images"]
        assert not images["added"] + images["removed"] + images["replaced"] + images["relisted"]
        assert not any(each["boxes"][kind] for kind in ("added", "removed", "relabelled", "other"))
        assert len(images["renamed"]) == (0 if tool is cvat else images["after"])
    total = sum(each["images"]["after"] for each in found.values())
    assert sum(len(each["images"]["renumbered"]) for each in found.values()) > total / 2
    shutil.rmtree(clone.root)
