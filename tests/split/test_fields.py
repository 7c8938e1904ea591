"""A field is one row of a table: from it follow the column, and the ways there and back."""

from typing import Any

import pytest

from cocopipe.convert.encode import encode_image, encode_images, encode_object, encode_objects
from cocopipe.convert.encoders import ENCODERS
from cocopipe.convert.readings import Readings
from cocopipe.split.fields import (
    IMAGE,
    OBJECT,
    OF_IMAGE,
    OF_OBJECT,
    Field,
    decode_image,
    decode_object,
    read_object,
)
from cocopipe.split.kinds import Flag, Integer, Kind, Number, Numbers, Polygons, Rle, Text

COUNTS = {"size": [2, 3], "counts": "06"}
RUNS = {"size": [2, 3], "counts": [4, 2]}

REGULAR: dict[Kind, list[Any]] = {
    Integer(32): [0, -7, 2**31 - 1],
    Integer(64): [0, -7, 2**63 - 1],
    Number(): [0, 1.5, -2, 1e300],
    Text(): ["", "漢字\n"],
    Flag(): [0, 1],
    Numbers(): [[], [1, 2.5, 2]],
    Numbers(4): [[1, 2, 3.5, 4]],
    Polygons(): [[], [[1, 2, 4.5, 2, 4.5, 6], [0, 0, 1, 0, 1, 1]]],
    Rle(): [COUNTS, RUNS],
}
"""What a column of a kind holds, and gives back as it is."""

IRREGULAR: dict[Kind, list[Any]] = {
    Integer(32): [2**31, 0.5, "a", "", True, "1.5"],
    Integer(64): [2**63, 0.5, "a", True, str(2**63)],
    Number(): [2**53 + 1, "a", "1e999", "nan", "1_0", True],
    Text(): ["\ud800", 1],
    Flag(): [2, "yes", [1]],
    Numbers(): [[1, "a"], 1, [2**53 + 1], [True]],
    Numbers(4): [[1, 2, 3], [1, 2, 3, None], "1234", {"x": 1, "y": 2}, dict.fromkeys("xywh")],
    Polygons(): [[[1, 2], None], [1, 2], [[True]], [1, 2, 3, 4, 5], "1 2 3 4 5 6"],
    Rle(): [{"size": [2], "counts": "06"}, {"counts": "06"}, {**COUNTS, "more": 1}],
}
"""What it does not hold, and `extra` keeps."""

READ: dict[Kind, list[tuple[Any, Any]]] = {
    Integer(32): [(2.0, 2), ("640", 640), (" -7 ", -7)],
    Integer(64): [(2.0, 2), ("12", 12), ("1e3", 1000)],
    Number(): [("1", 1), ("2.50", 2.5), (" 1e-2", 0.01)],
    Text(): [],
    Flag(): [(True, 1), ("0", 0), (1.0, 1)],
    Numbers(): [([1, "2", 2.0], [1, 2, 2])],
    Numbers(4): [
        (["1", "2.5", 3, "4e0"], [1, 2.5, 3, 4]),
        ({"x": 1, "y": 2, "width": 3, "height": 4}, [1, 2, 3, 4]),
        ({"y": 2, "x": 1, "h": "4", "w": 3}, [1, 2, 3, 4]),
        ({"xmin": 1, "ymin": 2, "xmax": 4, "ymax": 6}, [1, 2, 3, 4]),
        ({"left": 1, "top": 2, "right": 4, "bottom": 6}, [1, 2, 3, 4]),
    ],
    Polygons(): [([1, 2, 4.5, 2, 4.5, 6], [[1, 2, 4.5, 2, 4.5, 6]]), ([["1", 2]], [[1, 2]])],
    Rle(): [],
}
"""What means one thing, though it is not written as COCO has it; and what that is."""

BASE = {"id": 3, "image_id": 1, "file_name": "a.jpg"}


def rows(fields: tuple[Field, ...], values: dict[Kind, list[Any]]) -> list[Any]:
    return [
        pytest.param(field, value, id=f"{field.column}-{value!r}"[:60])
        for field in fields
        for value in values[field.kind]
    ]


@pytest.mark.parametrize(("field", "value"), rows(OF_OBJECT, REGULAR))
def test_a_value_of_an_object_goes_into_its_column_and_comes_back(field: Field, value: Any) -> None:
    annotation = {**BASE, field.key: value}
    row = encode_object(0, annotation)
    assert row[field.column] is not None
    assert field.key not in (row["extra"] or "")
    assert decode_object(row)[field.key] == value
    assert type(decode_object(row)[field.key]) is type(value)
    assert decode_object(encode_objects([annotation])[0].as_py())[field.key] == value


@pytest.mark.parametrize(("field", "value"), rows(OF_IMAGE, REGULAR))
def test_a_value_of_an_image_goes_into_its_column_and_comes_back(field: Field, value: Any) -> None:
    image = {"id": 3, "file_name": "a.jpg", field.key: value}
    row = encode_image(0, image)
    assert row[field.column] is not None
    assert row["extra"] is None
    assert decode_image(row) == image
    assert [decode_image(each) for each in encode_images([image]).to_pylist()] == [image]


OPTIONAL = tuple(field for field in OF_OBJECT if not field.is_required)


@pytest.mark.parametrize(("field", "value"), rows(OPTIONAL, IRREGULAR))
def test_what_a_column_does_not_hold_comes_back_too(field: Field, value: Any) -> None:
    annotation = {**BASE, field.key: value}
    row = encode_object(0, annotation)
    assert row[field.column] is None
    assert decode_object(row)[field.key] == value
    many = encode_objects([annotation] * 40)
    assert all(decode_object(each)[field.key] == value for each in many.to_pylist())


@pytest.mark.parametrize(("field", "values"), rows(OPTIONAL, READ))
def test_what_means_one_thing_is_read_so_and_comes_back(
    field: Field, values: tuple[Any, Any]
) -> None:
    value, read = values
    annotation = {**BASE, field.key: value}
    for copies in (1, 40):
        readings = Readings()
        many = encode_objects([annotation] * copies, readings=readings).to_pylist()
        assert all(read_object(each)[field.key] == read for each in many)
        assert all(decode_object(each)[field.key] == value for each in many)
        assert isinstance(value, float) or type(decode_object(many[0])[field.key]) is type(value)
        assert not readings.unread
        assert set(readings.otherwise.values()) <= {copies}
        is_other = type(read) is int and type(value) is not int
        assert bool(readings.otherwise) == (value != read or is_other)


def test_every_kind_can_be_encoded() -> None:
    kinds = {type(field.kind) for field in (*OF_IMAGE, *OF_OBJECT)}
    assert kinds == set(Kind.__subclasses__()) == set(ENCODERS)


@pytest.mark.parametrize("kind", Kind.__subclasses__())
def test_a_kind_is_as_written_where_nothing_is_to_decode(kind: type[Kind]) -> None:
    assert kind.is_as_written == (kind.decode is Kind.decode)


def test_a_kind_without_a_type_is_none() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Kind()


def test_the_columns_are_those_of_the_table() -> None:
    for fields, columns in ((OF_IMAGE, IMAGE.names), (OF_OBJECT, [each.name for each in OBJECT])):
        first, *others = (field.column for field in fields)
        assert columns == [first, "position", *others, "extra"]


def test_exported_fields_are_the_required_ones_first_and_then_those_as_written() -> None:
    image = {"height": 4, "width": 3, "file_name": "a.jpg", "id": 1}
    assert list(decode_image(encode_image(0, image))) == ["id", "file_name", "width", "height"]
    optional = {"caption": "", "iscrowd": 0, "segmentation": [], "area": 1.0, "category_id": 2}
    decoded = decode_object(encode_object(0, {**BASE, **optional}))
    as_written, others = ["id", "category_id", "area", "caption"], ["iscrowd", "segmentation"]
    assert list(decoded)[:6] == as_written + others
