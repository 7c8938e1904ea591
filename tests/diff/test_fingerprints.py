from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cocopipe.diff.fingerprints import fingerprints
from cocopipe.split.fields import OBJECT

NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, 1.0, -1.0, 0.1]), st.floats(allow_nan=False))
LISTS = st.one_of(st.none(), st.lists(NUMBERS, max_size=3))

KINDS: list[tuple[Any, Any]] = [
    (pa.float64(), NUMBERS),
    (pa.int64(), st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1))),
    (pa.int32(), st.one_of(st.none(), st.integers(-2, 2))),
    (pa.bool_(), st.one_of(st.none(), st.booleans())),
    (pa.string(), st.one_of(st.none(), st.text("ab犬\0", max_size=3))),
    (pa.binary(), st.one_of(st.none(), st.binary(max_size=2))),
    (pa.list_(pa.float64()), LISTS),
    (pa.list_(pa.list_(pa.float64())), st.one_of(st.none(), st.lists(LISTS, max_size=3))),
    (
        pa.struct({"a": pa.int32(), "b": pa.list_(pa.float64())}),
        st.one_of(st.none(), st.fixed_dictionaries({"a": st.integers(0, 1), "b": LISTS})),
    ),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=lambda one: str(one)[:30])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_values_are_equal_when_their_hashes_are(
    kind: Any, values: Any, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(values, max_size=8))
    start = data.draw(st.integers(0, len(drawn)))
    hashes = fingerprints(pa.array(drawn, kind))
    assert hashes.dtype == np.uint64
    assert fingerprints(pa.array(drawn, kind).slice(start)).tolist() == hashes[start:].tolist()
    for one, hash_of_one in zip(drawn, hashes, strict=True):
        for other, hash_of_other in zip(drawn, hashes, strict=True):
            assert (one == other) == (hash_of_one == hash_of_other)


def test_not_a_number_is_itself_and_zero_has_no_sign() -> None:
    one, other, zero, minus_zero = fingerprints(pa.array([float("nan"), float("nan"), 0.0, -0.0]))
    assert one == other != zero == minus_zero


def test_of_no_objects() -> None:
    assert len(fingerprints(pa.array([], OBJECT))) == 0
