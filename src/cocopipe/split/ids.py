"""Ids as documents have them, where the tables have others.

Splits of the raw data that share a role may have the same ids: those of the second are raised in
the tables. Some tools write ids as text. Either way ``extra`` has what the document has.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_RAISED = r'^\{"id":(?P<id>-?\d+)[,}]'
"""How ``extra`` begins where the table has another number."""


def written_ids(ids: Any, extra: Any) -> npt.NDArray[np.object_]:
    """Ids as they were written, numbers or text.

    Args:
        ids: the column of images or objects, [N].
        extra: the column beside it, [N].
    """
    numbers, others = _read(ids, extra)
    found = np.array(numbers.tolist(), object)
    for place, written in others:
        found[place] = written
    return found


def document_ids(ids: Any, extra: Any) -> npt.NDArray[np.int64]:
    """The same as numbers, int64 [N]."""
    found, others = _read(ids, extra)
    for place, written in others:
        found[place] = _number(written)
    return found


def _read(ids: Any, extra: Any) -> tuple[npt.NDArray[np.int64], Iterator[tuple[int, Any]]]:
    """All ids as numbers, but for those that are written otherwise: where they are, and how."""
    raised = pc.struct_field(pc.extract_regex(extra, _RAISED), "id").cast(pa.int64())
    numbers = np.asarray(pc.coalesce(raised, ids), np.int64).copy()
    may_have_one = pc.and_(raised.is_null(), pc.match_substring(extra, '"id":'))
    return numbers, _others(extra, np.flatnonzero(may_have_one.fill_null(False)).tolist())


def _others(extra: Any, rows: list[int]) -> Iterator[tuple[int, Any]]:
    for row in rows:
        entry = json.loads(extra[row].as_py())
        if "id" in entry:
            yield row, entry["id"]


def _number(written: Any) -> int:
    try:
        return int(written)
    except ValueError:
        return int(float(written))  # such as "7.0"
