import json
from typing import Any

import pytest

from cocopipe.coco.sniff import Kind, look
from cocopipe.errors import UserError
from tests.coco_files import InMemory, instances

IMAGES = instances([1, 2])["images"]


def seen(content: Any) -> Any:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return look(InMemory(text, "x.json"))


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        (instances([1]), Kind.BOXES),
        ({"annotations": [{"bbox": [1, 2, 3, 4]}], "images": IMAGES}, Kind.BOXES),
        ({"images": IMAGES, "annotations": [{"caption": "a", "category_id": 1}]}, Kind.CAPTIONS),
        (
            {"images": IMAGES, "annotations": [{"caption": "", "category_id": 1, "bbox": []}]},
            Kind.BOXES,
        ),
        ({"images": IMAGES, "annotations": [{"caption": "a", "bbox": []}]}, Kind.CAPTIONS),
        ({"images": IMAGES, "annotations": []}, Kind.BOXES),
        ({"images": IMAGES, "categories": []}, Kind.BOXES),
        ({"images": IMAGES, "annotations": [{"keypoints": [], "bbox": []}]}, Kind.KEYPOINTS),
        ({"images": IMAGES, "annotations": [{"caption": "a"}]}, Kind.CAPTIONS),
        ({"images": IMAGES, "annotations": [{"segments_info": []}]}, Kind.PANOPTIC),
        ({"images": IMAGES, "info": {}}, Kind.PICTURES),
    ],
)
def test_a_document_is_what_it_holds(document: dict[str, Any], kind: Kind) -> None:
    found = seen(document)
    assert found.kind is kind
    assert found.names[0] == "1.jpg"
    assert found.is_bare is not bool(document.get("annotations"))


@pytest.mark.parametrize(
    "document",
    [
        {"images": IMAGES, "annotations": None},
        {"images": IMAGES, "annotations": {"1": {"image_id": 1}}, "categories": []},
        {"images": {"1": IMAGES[0]}, "annotations": [{"image_id": 1}]},
        {"annotations": [{"image_id": 1}], "images": None},
    ],
)
def test_a_document_with_something_else_for_a_list_is_one_all_the_same(document: Any) -> None:
    """Its reader says what is wrong, instead of going on without it."""
    assert seen(document) is not None


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"images": "all"},
        {"images": {"mean": 1}, "annotations": None, "categories": []},
        {"images": ["1.jpg", "2.jpg"]},
        {"annotations": [{"bbox": []}]},
        {"name": "package"},
        [{"image_id": 1, "bbox": [1, 2, 3, 4]}],
        7,
        b' \n[{"image_id": 1}',
    ],
)
def test_other_json_is_no_document(content: Any) -> None:
    assert seen(content) is None


@pytest.mark.parametrize("text", [b'{"images": [', b"", b"\x00", b"{} {}"])
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    with pytest.raises(UserError, match=r"x\.json is not JSON"):
        seen(text)
