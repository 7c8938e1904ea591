"""COCO documents as no tool would write them."""

from typing import Any

from hypothesis import strategies as st

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
