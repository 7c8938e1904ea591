"""Fields of documents into columns, at once and one by one."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cocopipe.convert.encode import encode_image, encode_images, encode_object, encode_objects
from cocopipe.split.fields import OBJECT
from tests.coco_documents import coco_documents


@settings(max_examples=150, deadline=None)
@given(document=coco_documents(), copies=st.sampled_from([1, 7]))
def test_many_at_once_are_encoded_as_one_by_one(document: dict[str, Any], copies: int) -> None:
    images, annotations = document["images"] * copies, document["annotations"] * copies
    rows = [encode_image(5 + place, image) for place, image in enumerate(images)]
    assert encode_images(images, 5).to_pylist() == rows
    structs = [encode_object(5 + place, each) for place, each in enumerate(annotations)]
    assert encode_objects(annotations, 5).to_pylist() == structs
    assert encode_objects(annotations, 5).type == OBJECT
