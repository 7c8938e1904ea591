"""Ids as documents have them."""

import json
from typing import Any

import pyarrow as pa
import pytest

from cocopipe.convert.renumber import with_originals
from cocopipe.split.ids import document_ids, written_ids


@pytest.mark.parametrize(
    ("extra", "written", "number"),
    [
        (None, 1001, 1001),
        ({"license": 3}, 1001, 1001),
        ({"attributes": {"id": 5}}, 1001, 1001),
        ({"id": 7}, 7, 7),
        ({"id": -7, "license": 3}, -7, -7),
        ({"license": 3, "id": 7}, 7, 7),
        ({"id": "7"}, "7", 7),
        ({"id": " 7.0"}, " 7.0", 7),
        ({"id": 7.0, "attributes": {"id": 5}}, 7.0, 7),
        ({"id": str(2**63 - 1)}, str(2**63 - 1), 2**63 - 1),
    ],
)
def test_what_extra_has_is_what_the_document_has(extra: Any, written: Any, number: int) -> None:
    text = None if extra is None else json.dumps(extra, separators=(",", ":"))
    columns = pa.array([5, 1001, 6]), pa.array([None, text, '{"a":1}'], pa.string())
    for each in (columns, [pa.chunked_array([one]) for one in columns]):
        assert written_ids(*each).tolist() == [5, written, 6]
        assert document_ids(*each).tolist() == [5, number, 6]


def test_ids_that_were_raised() -> None:
    ids = pa.array([1, -(2**63), 3])
    extra = with_originals(pa.array([None, '{"a":1}', '{"id":"3"}']), ids.to_numpy())
    assert document_ids(pa.array([101, 102, 103]), extra).tolist() == ids.to_pylist()
