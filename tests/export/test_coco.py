"""What was converted comes back: JSON as parsed values, images byte for byte."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cocopipe.convert.columns import read
from cocopipe.convert.encode import encode_image, encode_images, encode_object, encode_objects
from cocopipe.convert.table_writer import write_table
from cocopipe.export.coco import export
from cocopipe.split import tables
from cocopipe.split.fields import OBJECT
from tests.coco.coco_files import InMemory, instances, official, picture, write_files, write_zip
from tests.coco.conftest import Converted
from tests.coco.test_tables import strictly_equal

Convert = Callable[..., Converted]


def exported(converted: Converted, out: Path) -> Path:
    _, train, val = converted
    out.mkdir()
    export([train, val], out)
    return out


def documents(root: Path) -> dict[str, Any]:
    return {
        path.name: json.loads(path.read_text()) for path in (root / "annotations").glob("*.json")
    }


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["coco128", "coco_mini"])
def test_real_data_in_the_official_layout(
    real_data: Path, converted: Convert, tmp_path: Path, name: str
) -> None:
    source = real_data / name
    out = exported(converted(source), tmp_path / "out")
    assert documents(out) == documents(source)
    for folder in (path for path in source.iterdir() if path.name != "annotations"):
        listed = {
            image["file_name"]
            for file, document in documents(source).items()
            if file.endswith(f"_{folder.name}.json")
            for image in document["images"]
        }
        assert {path.name for path in (out / folder.name).iterdir()} == listed
        for file in listed:
            assert (out / folder.name / file).read_bytes() == (folder / file).read_bytes()


@pytest.mark.real_data
def test_real_data_beside_their_document(
    real_data: Path, converted: Convert, tmp_path: Path
) -> None:
    source = real_data / "raccoon"
    out = exported(converted(source), tmp_path / "out")
    document = json.loads((source / "train" / "_annotations.coco.json").read_text())
    assert documents(out) == {"instances_train.json": document}
    for image in document["images"]:
        name = image["file_name"]
        assert (out / "train" / name).read_bytes() == (source / "train" / name).read_bytes()


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        "string_rle",
        "datumaro_coco_instances",
        "datumaro_coco_captions",
        "datumaro_coco_image_info",
        "datumaro_coco_person_keypoints",
        "datumaro_coco_roboflow",
        "datumaro_mmdet_coco",
    ],
)
def test_edge_cases_as_documents(real_data: Path, tmp_path: Path, name: str) -> None:
    found = sorted((real_data / "edge_cases" / name).rglob("*.json"))
    assert found
    for number, path in enumerate(found):
        document = read(InMemory(path.read_bytes(), path.name), name="some")
        assert document is not None
        split = tmp_path / str(number)
        split.mkdir()
        write_table(split, document)
        assert strictly_equal(tables.read_document(split, "some"), json.loads(path.read_text()))


def test_a_divided_split_is_one_again(converted: Convert, tmp_path: Path) -> None:
    files = official(range(40))
    # An order of its own, in images and in annotations.
    document = files["annotations/instances_train.json"]
    document["images"].reverse()
    document["annotations"] = document["annotations"][::2] + document["annotations"][1::2]
    out = exported(converted(write_files(tmp_path / "raw", files)), tmp_path / "out")
    assert documents(out) == {"instances_train.json": document}
    for number in range(40):
        assert (out / "train" / f"{number}.jpg").read_bytes() == picture(number)


def test_what_was_exported_converts_to_the_same_bytes(converted: Convert, tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", {**official(range(9)), **official(range(9, 12), "val")})
    _, *first = converted(raw)
    again = exported((None, *first), tmp_path / "out")
    _, *second = converted(again)
    for one, other in zip(first, second, strict=True):
        files = sorted(path.relative_to(one) for path in one.rglob("*.parquet"))
        assert files
        for file in files:
            assert (one / file).read_bytes() == (other / file).read_bytes()


def test_images_in_folders_and_zips(converted: Convert, tmp_path: Path) -> None:
    document = instances([1, 2])
    for image in document["images"]:
        image["file_name"] = f"deep/er/{image['id']}.jpg"
    files = {f"train/deep/er/{number}.jpg": picture(number) for number in (1, 2)}
    write_zip(tmp_path / "raw" / "train.zip", files)
    write_files(tmp_path / "raw", {"annotations/instances_train.json": document})
    write_files(tmp_path / "raw", official([3], "val"))
    out = exported(converted(tmp_path / "raw"), tmp_path / "out")
    assert documents(out)["instances_train.json"] == document
    assert (out / "train/deep/er/2.jpg").read_bytes() == picture(2)


ODD_IDS = st.one_of(st.integers(0, 9), st.sampled_from([-1, 2**40, 2**63 - 1, -(2**63)]))
NUMBERS = st.one_of(
    st.integers(-5, 5),
    st.floats(allow_nan=False, width=32),
    st.sampled_from([2**53, 2**53 + 1, -(2**60), 1e300, -0.0]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
BOXES = st.lists(NUMBERS, min_size=4, max_size=4)
RLES = st.fixed_dictionaries(
    {"size": st.just([4, 5]), "counts": st.just("0d0") | st.lists(st.integers(0, 9), max_size=3)}
)
FIELDS = {
    "bbox": BOXES | JSON,
    "area": NUMBERS | JSON,
    "iscrowd": st.sampled_from([0, 1]) | JSON,
    "segmentation": st.lists(st.lists(NUMBERS, max_size=6), max_size=2) | RLES | JSON,
    "keypoints": st.lists(NUMBERS, max_size=6) | JSON,
    "num_keypoints": st.integers(0, 3) | JSON,
    "caption": st.text(max_size=5) | JSON,
    "attributes": JSON,
    "ünknown": JSON,
}


@st.composite
def coco_documents(draw: st.DrawFn) -> dict[str, Any]:
    """COCO documents as no tool would write them, but whose references hold."""
    image_ids = draw(st.lists(ODD_IDS, unique=True, max_size=5))
    category_ids = draw(st.lists(ODD_IDS, unique=True, min_size=1, max_size=3))
    images = [
        {"id": each, "file_name": f"{draw(st.text('äz 日', max_size=3))}{place}.jpg"}
        | draw(
            st.fixed_dictionaries(
                {}, optional={"width": st.integers(1, 9) | JSON, "height": JSON, "license": JSON}
            )
        )
        for place, each in enumerate(image_ids)
    ]
    annotation_ids = draw(st.lists(ODD_IDS, unique=True, max_size=9)) if image_ids else []
    annotations = [
        {
            "id": each,
            "image_id": draw(st.sampled_from(image_ids)),
            "category_id": draw(st.sampled_from(category_ids)),
        }
        | draw(st.fixed_dictionaries({}, optional=FIELDS))
        for each in annotation_ids
    ]
    categories = [
        {"id": each, "name": draw(st.text(max_size=3)), "more": draw(JSON)} for each in category_ids
    ]
    top = draw(st.dictionaries(st.sampled_from(["info", "licenses", "x"]), JSON))
    return {**top, "images": images, "annotations": annotations, "categories": categories}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(document=coco_documents())
def test_any_document_comes_back(tmp_path_factory: Any, document: dict[str, Any]) -> None:
    split = tmp_path_factory.mktemp("split")
    parsed = read(InMemory(json.dumps(document).encode(), "it"), name="instances")
    assert parsed is not None
    write_table(split, parsed)
    assert strictly_equal(tables.read_document(split, "instances"), document)


@settings(max_examples=150, deadline=None)
@given(document=coco_documents(), copies=st.sampled_from([1, 7]))
def test_many_at_once_are_encoded_as_one_by_one(document: dict[str, Any], copies: int) -> None:
    images, annotations = document["images"] * copies, document["annotations"] * copies
    rows = [encode_image(5 + place, image) for place, image in enumerate(images)]
    assert encode_images(images, 5).to_pylist() == rows
    structs = [encode_object(5 + place, each) for place, each in enumerate(annotations)]
    assert encode_objects(annotations, 5).to_pylist() == structs
    assert encode_objects(annotations, 5).type == OBJECT
