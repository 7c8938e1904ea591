import codecs
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cocopipe.coco import json_pieces
from cocopipe.coco.json_pieces import NotInPiecesError, pieces

LISTS = ("images", "annotations")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
TRICKY = st.sampled_from(
    [{"a": [{"b": 1}], "c": "}],"}, {"s": {"size": [1, 2]}, "t": 1}, "}, {", '"}]', [], {}, 1.5, 12]
)
DOCUMENTS = st.dictionaries(
    st.sampled_from([*LISTS, "info", "é"]), st.lists(JSON | TRICKY) | JSON | TRICKY
)


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def put_together(data: bytes, size: int) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for piece in pieces(blocks(data, size), LISTS):
        value = json.loads(piece.text)
        if piece.is_part:
            assert piece.name in LISTS
            whole.setdefault(piece.name, []).extend(value)
        else:
            assert piece.name not in whole
            whole[piece.name] = value
    return whole


@settings(max_examples=300, deadline=None)
@given(
    document=DOCUMENTS,
    indent=st.none() | st.just(1),
    ascii_only=st.booleans(),
    size=st.integers(1, 60),
    piece_bytes=st.integers(1, 100),
)
def test_pieces_put_together_are_the_document(
    document: dict[str, Any], indent: int | None, ascii_only: bool, size: int, piece_bytes: int
) -> None:
    data = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "PIECE_BYTES", piece_bytes)
        whole = put_together(data, size)
    assert whole == document
    assert list(whole) == list(document)


def test_what_is_cut_off_is_never_taken_for_a_document() -> None:
    document = {"info": {"x": 1.5}, "annotations": [{"id": 1, "s": {"n": [1]}}] * 3, "e": "}]"}
    data = json.dumps(document).encode()
    for end in range(len(data)):
        with pytest.raises(NotInPiecesError):
            put_together(data[:end], 7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{} {}",
        '{"a": 1,}',
        '{"a" 1}',
        '{"a": 1 "b": 2}',
        '{"a": 1, "a": 2}',
        '{"images": [1 2]}',
        '{"images": [{}}',
        '{"images": [{},]}',
        '{"images": nothing}',
        '{"\\x": 1}',
    ],
)
def test_what_is_no_plain_object_is_refused(text: str) -> None:
    with pytest.raises(NotInPiecesError):
        put_together(text.encode(), 3)


def test_all_blocks_are_taken_and_some_are_empty() -> None:
    taken: list[bytes] = []

    def noted() -> Iterator[bytes]:
        for block in (b"", b'{"a"', b"", b": 1}", b"", b" ", b""):
            taken.append(block)
            yield block

    assert [piece.text for piece in pieces(noted(), LISTS)] == [b"1"]
    assert len(taken) == 7


def test_a_byte_order_mark_is_skipped() -> None:
    assert put_together(codecs.BOM_UTF8 + b'{"images": [1]}', 100) == {"images": [1]}


def test_a_long_list_comes_in_pieces_of_bounded_size() -> None:
    annotation = {"id": 1, "segmentation": {"counts": "}],", "size": [1, 2]}, "tags": [{"a": [{}]}]}
    data = json.dumps({"annotations": [annotation] * 60_000, "info": {}}).encode()
    sizes = [len(piece.text) for piece in pieces(blocks(data, 2**16), LISTS)]
    assert len(sizes) > len(data) // json_pieces.PIECE_BYTES
    assert max(sizes) < 2 * json_pieces.PIECE_BYTES
