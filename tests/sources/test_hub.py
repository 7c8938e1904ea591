"""Against a small Hub on loopback.

``HF_ENDPOINT`` and ``HF_HOME`` are read when ``huggingface_hub`` is imported, hence the
process of its own; one is enough for many calls.
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.sources.servers import Fault, Hub

REPO, COMMIT = "someone/shapes", "c" * 40

CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from cocopipe.errors import UserError
from cocopipe.sources.hub import fetch_hub
for line in sys.stdin:
    call = json.loads(line)
    out = Path(call.pop("out"))
    out.mkdir()
    try:
        print(json.dumps([asdict(origin) for origin in fetch_hub(out, **call)]))
    except UserError as error:
        print(json.dumps(str(error)))
"""


def fetch(endpoint: str, folder: Path, *calls: dict[str, Any], **environ: str) -> list[Any]:
    """Call ``fetch_hub`` once per dict of settings, with outputs 0, 1, … in ``folder``."""
    defaults = {"repo": REPO, "revision": COMMIT, "splits": ["val"], "box_format": "xyxy"}
    folder.mkdir(exist_ok=True)
    lines = [
        json.dumps(defaults | call | {"out": str(folder / str(number))})
        for number, call in enumerate(calls)
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder / "hf"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **environ,
        },
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def jpeg(width: int, height: int, shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade, 90, 10)).save(buffer, format="JPEG")
    return buffer.getvalue()


IMAGES = {139: jpeg(64, 48, 10), 285: jpeg(50, 60, 100), 632: jpeg(40, 40, 200)}
SIZES = {139: (64, 48), 285: (50, 60), 632: (40, 40)}
# (bbox_id, label, xyxy, area) per image: decimals whose difference is not exact in binary.
OBJECTS: dict[int, list[tuple[int, int, list[float], int]]] = {
    139: [(11, 0, [1.08, 7.69, 61.67, 47.53], 900), (12, 79, [0.0, 0.0, 10.0, 20.0], 150)],
    285: [],
    632: [(13, 11, [5.5, 6.25, 30.75, 39.0], 700)],
}


def parquet(rows: list[dict[str, Any]], features: datasets.Features) -> bytes:
    buffer = io.BytesIO()
    dataset = datasets.Dataset.from_list(rows, features=features)
    dataset.to_parquet(buffer)
    return buffer.getvalue()


def like_detection_datasets(names: list[str], ids: list[int]) -> bytes:
    """A file as in detection-datasets/coco: its features, written by the datasets of 2022."""
    old = {
        "image_id": {"dtype": "int64", "id": None, "_type": "Value"},
        "image": {"decode": True, "id": None, "_type": "Image"},
        "width": {"dtype": "int64", "id": None, "_type": "Value"},
        "height": {"dtype": "int64", "id": None, "_type": "Value"},
        "objects": {
            "feature": {
                "bbox_id": {"dtype": "int64", "id": None, "_type": "Value"},
                "category": {"names": names, "id": None, "_type": "ClassLabel"},
                "bbox": {
                    "feature": {"dtype": "float64", "id": None, "_type": "Value"},
                    "length": 4,
                    "id": None,
                    "_type": "Sequence",
                },
                "area": {"dtype": "int64", "id": None, "_type": "Value"},
            },
            "length": -1,
            "id": None,
            "_type": "Sequence",
        },
    }
    rows = [
        {
            "image_id": image_id,
            "image": {"bytes": IMAGES[image_id], "path": None},
            "width": SIZES[image_id][0],
            "height": SIZES[image_id][1],
            "objects": {
                "bbox_id": [thing[0] for thing in OBJECTS[image_id]],
                "category": [thing[1] % len(names) for thing in OBJECTS[image_id]],
                "bbox": [thing[2] for thing in OBJECTS[image_id]],
                "area": [thing[3] for thing in OBJECTS[image_id]],
            },
        }
        for image_id in ids
    ]
    schema = pa.schema(
        {
            "image_id": pa.int64(),
            "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
            "width": pa.int64(),
            "height": pa.int64(),
            "objects": pa.struct(
                {
                    "bbox_id": pa.list_(pa.int64()),
                    "category": pa.list_(pa.int64()),
                    "bbox": pa.list_(pa.list_(pa.float64())),
                    "area": pa.list_(pa.int64()),
                }
            ),
        },
        metadata={"huggingface": json.dumps({"info": {"features": old}})},
    )
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), buffer, row_group_size=2)
    return buffer.getvalue()


def modern(names: list[str], box: list[float], path: str | None = "shape.png") -> bytes:
    """A file as the present ``datasets`` writes a list of objects; only what must be there."""
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "objects": datasets.List(
                {
                    "category": datasets.ClassLabel(names=names),
                    "bbox": datasets.List(datasets.Value("float32"), length=4),
                }
            ),
        }
    )
    image = io.BytesIO()
    Image.new("L", (32, 24)).save(image, format="PNG")
    rows = [
        {
            "image": {"bytes": image.getvalue(), "path": path},
            "objects": [{"category": 1, "bbox": box}],
        }
    ] * 2
    return parquet(rows, features)


def columns(**values: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(values), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def coco_names() -> list[str]:
    from cocopipe.sources.coco2017 import categories

    return [str(category["name"]) for category in categories()]


def document(folder: Path, split: str = "val") -> dict[str, Any]:
    return json.loads((folder / "annotations" / f"instances_{split}.json").read_text())


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_split_becomes_coco(tmp_path: Path, coco_names: list[str]) -> None:
    files = {
        "README.md": b"# shapes",
        "data/val-00000-of-00002-af.parquet": like_detection_datasets(coco_names, [139, 285]),
        "data/val-00001-of-00002-be.parquet": like_detection_datasets(coco_names, [632]),
        "data/train-00000-of-00001-aa.parquet": like_detection_datasets(coco_names, [139]),
    }
    with Hub(REPO, COMMIT, files) as hub:
        first, second, both = fetch(
            hub.url, tmp_path, {}, {"revision": "main"}, {"splits": ["train", "val"]}
        )
        downloads = [r.path.rpartition("/")[2] for r in hub.requests if "/resolve/" in r.path]
        gets = [r for r in hub.requests if "/resolve/" in r.path and r.method == "GET"]
        assert {path.partition("-")[0] for path in downloads} == {"val", "train"}
        assert len(gets) == 3  # the second and third call find val in the cache

    assert [origin["name"] for origin in first] == sorted(files)[2:]
    assert first[0]["url"] == f"{hub.url}/datasets/{REPO}/resolve/{COMMIT}/{first[0]['name']}"
    assert first[0]["checksum"] == "sha256:" + hashlib.sha256(files[first[0]["name"]]).hexdigest()
    assert second == first
    assert len(both) == 3
    assert digests(tmp_path / "0") == digests(tmp_path / "1")
    assert set(digests(tmp_path / "2")) == {
        "train.zip",
        "val.zip",
        "instances_train.json",
        "instances_val.json",
    }

    with zipfile.ZipFile(tmp_path / "0" / "val.zip") as archive:
        members = archive.infolist()
        assert [m.filename for m in members] == [f"val/{i:012d}.jpg" for i in IMAGES]
        assert {m.compress_type for m in members} == {zipfile.ZIP_STORED}
        assert {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}
        assert [archive.read(m) for m in members] == list(IMAGES.values())

    found = document(tmp_path / "0")
    assert found["images"] == [
        {"id": i, "file_name": f"{i:012d}.jpg", "width": w, "height": h}
        for i, (w, h) in SIZES.items()
    ]
    boxes = {a["id"]: a for a in found["annotations"]}
    assert boxes[11]["bbox"] == [1.08, 7.69, 60.59, 39.84]
    assert boxes[13]["bbox"] == [5.5, 6.25, 25.25, 32.75]
    assert [(a["image_id"], a["category_id"], a["area"], a["iscrowd"]) for a in boxes.values()] == [
        (139, 1, 900, 0),
        (139, 90, 150, 0),
        (632, 13, 700, 0),
    ]
    # pycocotools reads it, and the official ids are there.
    read = COCO(tmp_path / "0" / "annotations" / "instances_val.json")
    assert read.loadCats([13])[0] == {"id": 13, "name": "stop sign", "supercategory": "outdoor"}
    assert len(read.getCatIds()) == 80


@pytest.mark.real_data
def test_categories_are_those_of_the_official_file(real_data: Path) -> None:
    from cocopipe.sources.coco2017 import categories

    official = real_data / "coco_mini" / "annotations" / "instances_val2017.json"
    assert categories() == json.loads(official.read_text())["categories"]


def test_other_layouts_and_names(tmp_path: Path) -> None:
    files = {
        "boxes/val-00000-of-00001.parquet": modern(["a", "b"], [2.0, 3.0, 10.0, 11.0]),
        "test/0000.parquet": modern(["a", "b"], [2.0, 3.0, 10.0, 11.0], path="../../x.png"),
        "all/dev.parquet": modern(["a", "b"], [2.0, 3.0, 10.0, 11.0], path=None),
    }
    with Hub(REPO, COMMIT, files) as hub:
        results = fetch(
            hub.url,
            tmp_path,
            {"box_format": "xywh"},
            {"splits": ["test"], "box_format": "xyxy"},
            {"splits": ["dev"]},
        )
    assert all(isinstance(result, list) for result in results), results
    val, test = document(tmp_path / "0"), document(tmp_path / "1", "test")
    assert val["categories"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert [(a["id"], a["image_id"], a["category_id"]) for a in val["annotations"]] == [
        (1, 1, 2),
        (2, 2, 2),
    ]
    assert val["annotations"][0]["bbox"] == [2, 3, 10, 11]
    assert val["annotations"][0]["area"] == 110
    assert test["annotations"][0]["bbox"] == [2, 3, 8, 8]
    assert [i["file_name"] for i in val["images"]] == ["shape.png", "000000000002.png"]
    assert [i["file_name"] for i in test["images"]] == ["x.png", "000000000002.png"]
    assert val["images"][0] | {"file_name": ""} == {
        "id": 1,
        "file_name": "",
        "width": 32,
        "height": 24,
    }


def test_what_is_wrong_is_one_sentence(tmp_path: Path) -> None:
    label = json.dumps(
        {"info": {"features": {"objects": {"category": {"names": ["a"], "_type": "ClassLabel"}}}}}
    )
    things = [{"category": [0], "bbox": [[0.0, 0.0, 1.0, 1.0]]}]

    def labelled(
        image: dict[str, Any], objects: dict[str, Any] = things[0], name: str = "image"
    ) -> bytes:
        table = pa.table({name: [image], "objects": [objects]})
        buffer = io.BytesIO()
        pq.write_table(table.replace_schema_metadata({"huggingface": label}), buffer)
        return buffer.getvalue()

    image = {"bytes": IMAGES[139], "path": None}
    files = {
        "a/two-0.parquet": b"",
        "b/two-0.parquet": b"",
        "plain.parquet": columns(image=[image], objects=things),
        "text.parquet": labelled(image, name="text"),
        "junk.parquet": b"this is not Parquet",
        "linked.parquet": labelled({"bytes": None, "path": "http://x/y.jpg"}),
        "broken.parquet": labelled({"bytes": b"no image", "path": None}),
        "label.parquet": labelled(image, {"category": [7], "bbox": [[0.0, 0.0, 1.0, 1.0]]}),
        "box.parquet": labelled(image, {"category": [0], "bbox": [[0.0, 0.0, 1.0]]}),
        "xywh.parquet": labelled(image, {"category": [0], "bbox": [[30.0, 30.0, 5.0, 5.0]]}),
        "xyxy.parquet": labelled(image, {"category": [0], "bbox": [[30.0, 30.0, 50.0, 40.0]]}),
    }
    cases: list[tuple[dict[str, Any], str]] = [
        ({"repo": "someone/else"}, "There is no dataset 'someone/else' on http://127.0.0.1"),
        ({"repo": "a/b/c"}, "'a/b/c' can't be the name of a dataset"),
        ({"revision": "nope"}, "someone/shapes has no revision 'nope'"),
        ({"splits": ["dev"]}, "no Parquet files of a split 'dev' (its files are of box, broken"),
        ({"splits": []}, "No split of someone/shapes was asked for"),
        ({"splits": ["../x"]}, "'../x' can't be the name of a split"),
        ({"splits": ["two"]}, "the split 'two' in several configurations (a, b)"),
        ({"box_format": "yolo"}, "'yolo' is no box format; use one of xyxy, xywh"),
        ({"splits": ["plain"]}, "name no classes for objects.category"),
        ({"splits": ["text"]}, "has the columns objects, text, and not 'image' and"),
        ({"splits": ["junk"]}, "is no readable Parquet"),
        ({"splits": ["linked"]}, "row 1 of linked holds no image bytes"),
        ({"splits": ["broken"]}, "row 1 of broken is not a readable image"),
        ({"splits": ["label"]}, "in image 1, has the category 7, which is none of the 1 labels"),
        ({"splits": ["box"]}, "has the bbox [0.0, 0.0, 1.0], which is not four numbers"),
        ({"splits": ["xywh"]}, "1 of the 1 boxes of xywh can't be xyxy in pixels"),
        ({"splits": ["xyxy"], "box_format": "xywh"}, "can't be xywh in pixels"),
    ]
    with Hub(REPO, COMMIT, files) as hub:
        results = fetch(hub.url, tmp_path, *(call for call, _ in cases))
        hub.fail(f"/api/datasets/{REPO}/revision/{COMMIT}", Fault(status=500))
        (down,) = fetch(hub.url, tmp_path / "down", {})
        (offline,) = fetch(hub.url, tmp_path / "offline", {}, HF_HUB_OFFLINE="1")
    (gone,) = fetch(hub.url, tmp_path / "gone", {})
    for (_, expected), result in zip(cases, results, strict=True):
        assert isinstance(result, str), result
        assert expected in result
        assert "\n" not in result
    assert "answered HTTP 500" in down
    assert "no usable answer" in offline
    assert "no usable answer" in gone
    assert "onnection refused" in gone


def test_a_damaged_download_is_found_and_removed(tmp_path: Path) -> None:
    name = "data/val-0.parquet"
    good = modern(["a", "b"], [2.0, 3.0, 10.0, 11.0])
    with Hub(REPO, COMMIT, {name: good}) as hub:
        hub.damaged[name] = good[:-1] + b"x"
        (damaged,) = fetch(hub.url, tmp_path, {})
        hub.damaged.clear()
        (fine,) = fetch(hub.url, tmp_path / "again", {}, HF_HOME=str(tmp_path / "hf"))
    assert "data/val-0.parquet has the sha256" in damaged
    assert fine[0]["checksum"] == "sha256:" + hashlib.sha256(good).hexdigest()
