"""Hashes of Arrow values, a whole column at once: equal values have equal ones.

For telling values of one column apart within one process; they are not written anywhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Hashes = npt.NDArray[np.uint64]

_NULL = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(values: Any) -> Hashes:
    """A hash of every value, uint64 [N].

    A null is not an empty list, a zero is a zero whatever its sign, NaN is itself. Two values
    that differ share a hash once in 2^64 times.

    Args:
        values: a ``pa.Array`` of numbers, flags, text or bytes, of lists or structs of those.
    """
    hashes = _of_any(values)
    if values.null_count:
        hashes[values.is_null().to_numpy(zero_copy_only=False)] = _NULL
    return hashes


def join(*columns: Hashes) -> Hashes:
    """One hash for the hashes of several columns, in their order."""
    joined = np.zeros_like(columns[0])
    for column in columns:
        joined = mix(joined * np.uint64(3) + column)
    return joined


def mix(bits: Hashes) -> Hashes:
    """Spread every bit over all others, without collisions (the last step of SplitMix64)."""
    mixed = bits ^ (bits >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _of_any(values: Any) -> Hashes:
    kind = values.type
    if pa.types.is_struct(kind):
        return join(*(fingerprints(values.field(index)) for index in range(kind.num_fields)))
    if pa.types.is_list(kind):
        return _of_lists(values)
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _of_lists(_bytes(values))
    return mix(_bits(values))


def _of_lists(lists: Any) -> Hashes:
    """Sums over each list, every item times a number that its place decides."""
    items = fingerprints(lists.flatten())
    lengths = pc.list_value_length(lists).fill_null(0).to_numpy().astype(np.int64)
    ends = np.cumsum(lengths)
    places = np.arange(len(items)) - np.repeat(ends - lengths, lengths)
    factors = mix(np.arange(1, lengths.max(initial=0) + 1, dtype=np.uint64)) | np.uint64(1)
    items *= factors[places]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(items, dtype=np.uint64)])
    return mix(sums[ends] - sums[ends - lengths] + lengths.astype(np.uint64))


def _bytes(texts: Any) -> Any:
    """Text as lists of bytes, without copying it."""
    validity, offsets, data = texts.buffers()
    size = 0 if data is None else data.size
    children = [pa.Array.from_buffers(pa.uint8(), size, [None, data])]
    return pa.Array.from_buffers(
        pa.list_(pa.uint8()),
        len(texts),
        [validity, offsets],
        offset=texts.offset,
        children=children,
    )


def _bits(values: Any) -> Hashes:
    """Numbers as the bits of 64-bit ones."""
    if pa.types.is_floating(values.type):
        floats = values.cast(pa.float64()).fill_null(0).to_numpy()
        numbers = floats + 0.0  # of -0.0, this makes 0.0
    else:
        numbers = values.cast(pa.int64()).fill_null(0).to_numpy()
    return np.asarray(numbers).view(np.uint64)
