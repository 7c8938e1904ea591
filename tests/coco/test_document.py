import json
import math
from dataclasses import dataclass
from typing import Any

import pytest

from cocopipe.coco.document import read
from cocopipe.errors import UserError
from tests.coco_files import InMemory, instances

WHERE = "annotations/instances_train.json"


@dataclass(frozen=True)
class Parsed:
    images: list[Any]
    annotations: list[Any] | None
    """None where the document has no such list."""


def parsed(content: Any, name: str = "instances") -> Parsed | None:
    def as_they_are(entries: Any, first: int) -> list[Any]:
        del first
        return list(entries)

    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    found = read(InMemory(data, WHERE), name=name, encode=as_they_are)
    if found is None:
        return None
    document, images = found
    annotations = [one for some in document.annotations(as_they_are) for one in some]
    return Parsed(
        [one for some in images for one in some], annotations if document.has_annotations else None
    )


def changed(**changes: Any) -> dict[str, Any]:
    """A sound document with one image 1, object 100 and category 3, changed by dotted path."""
    document = instances([1])
    for path, value in changes.items():
        *way, last = path.split("__")
        target: Any = document
        for step in way:
            target = target[int(step) if step.isdigit() else step]
        target[int(last) if last.isdigit() else last] = value
    return document


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "is not JSON: .* at line 1 column 2"),
        (b"\xff\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        ([], "is not a COCO document: it has no list of images"),
        ({"annotations": []}, "it has no list of images"),
        ({"images": {}}, "it has no list of images"),
        (changed(annotations={}), "its annotations are not a list"),
        (changed(categories=None), "its categories are not a list"),
        (changed(images__0=7), "image number 0 is no object"),
        (changed(images__0__id=1.5), "image number 0 has the id 1.5; it must be an integer"),
        (changed(images__0__id=True), "image number 0 has the id True"),
        (changed(images__0__id="a"), "image number 0 has the id 'a'"),
        (changed(images__0__id=2**63), "image number 0 has the id 9223372036854775808"),
        (changed(images__0__id=10**30), "image number 0 has the id 1000000"),
        (changed(annotations__0__id=None), "annotation number 0 has no id"),
        (changed(categories__0__id=None), "category number 0 has no id"),
        (changed(categories__0__name=None), "category 3 has no name"),
        (changed(categories__0__name="\ud800"), "category 3 has a name that is not Unicode"),
        (changed(images=instances([1, 1])["images"]), "two image entries have the id 1"),
        (changed(images__0__file_name=""), "image 1 has no file_name"),
        (changed(images__0__file_name="\ud800.jpg"), "is not Unicode"),
        (changed(annotations__0__image_id=9), "annotation 100 is of image 9, which the file does"),
        (changed(annotations__0__image_id=1.5), "annotation 100 is of image 1.5"),
        (changed(annotations__0__category_id=9), "annotation 100 is of category 9, which the"),
        (changed(annotations__0__category_id=None), "annotation 100 is of category None"),
        (
            changed(annotations__0__category_id=9, annotations__0__caption="a dog"),
            "annotation 100 is of category 9, which the",
        ),
    ],
)
def test_what_is_unsound_is_refused_in_one_sentence(document: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        parsed(document)
    assert WHERE in str(error.value)
    assert "\n" not in str(error.value)


def test_two_annotations_of_one_id() -> None:
    document = changed()
    document["annotations"] *= 2
    with pytest.raises(UserError, match="two annotation entries have the id 100"):
        parsed(document)


def test_captions_need_no_categories() -> None:
    document = {
        "images": [{"id": 5, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 5, "caption": "hello"},
            {"id": 2, "image_id": 5, "category_id": 0, "caption": "world"},
            {"id": 3, "image_id": 5, "bbox": [1, 2, 3, 4], "caption": "of a region"},
        ],
    }
    assert len(parsed(document, "captions").annotations) == 3
    with pytest.raises(UserError, match="annotation 3 is of category None"):
        parsed(document)


def test_a_panoptic_document_has_no_objects() -> None:
    annotation = {"image_id": 1, "file_name": "1.png", "segments_info": []}
    assert parsed(changed(annotations=[annotation]), "panoptic") is None


def test_image_info_has_no_annotations() -> None:
    assert parsed({"images": []}).annotations is None
    assert len(parsed({"images": [], "annotations": []}).annotations) == 0


def test_numbers_that_fast_parsers_refuse_or_round() -> None:
    big = 123456789012345678901234567890
    text = json.dumps(changed(annotations__0__area=math.nan, annotations__0__track=big))
    (annotation,) = parsed(text.encode()).annotations
    assert math.isnan(annotation["area"])
    assert annotation["track"] == big


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_other_unicode_encodings(encoding: str) -> None:
    assert parsed(json.dumps(instances([1])).encode(encoding)).images
