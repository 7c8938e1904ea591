"""Ids that several splits of the raw data have, told apart where they come into one table."""

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.errors import UserError

Ints = npt.NDArray[np.int64]

_MOST = 2**62


def offsets(ids: Sequence[Ints], what: str) -> list[int]:
    """What is added to the ids of each split, so that no two have the same.

    Nothing where they differ as they are, and to those of the first.

    Args:
        ids: of each split, each of them once.
        what: what has them, for a message.

    Raises:
        UserError: they are so large that there is no room for others.
    """
    every = np.concatenate([np.empty(0, np.int64), *ids])
    if len(np.unique(every)) == len(every):
        return [0] * len(ids)
    largest = max(abs(int(every.min())), abs(int(every.max())))
    step = 10 ** len(str(2 * largest))
    if step * len(ids) >= _MOST:
        raise UserError(
            f"{what} ids are the same in splits that take one role, and are too large to tell them"
            f" apart by adding to them ({largest}): renumber them at the source"
        )
    return [step * place for place in range(len(ids))]


def with_originals(extra: pa.Array, ids: Ints) -> pa.Array:
    """The column ``extra`` with ids as documents have them, which win on export.

    Args:
        extra: JSON objects as text, or null, [N].
        ids: as written, [N].
    """
    return pa.array(
        [
            text if text and _has_id(text) else f'{{"id":{number}{_behind(text)}'
            for text, number in zip(extra.to_pylist(), ids.tolist(), strict=True)
        ],
        pa.string(),
    )


def _has_id(text: str) -> bool:
    return '"id":' in text and "id" in json.loads(text)


def _behind(text: str | None) -> str:
    return f",{text[1:]}" if text else "}"
