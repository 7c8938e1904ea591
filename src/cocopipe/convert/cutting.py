"""Where one shard ends and the next begins.

That depends on the pictures alone, not on how many are before them: adding or removing one
changes one or two shards, and DVC stores and moves only those. A shard begins where a hash is the
least of all that are near it. Borders so chosen are at least as far from each other as "near" is,
so that few shards are long: of the images added all over a dataset, each costs a shard.
"""

import math
from collections.abc import Collection, Sequence
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

CAP = 8
"""A shard never holds more than this many times the average number of images."""

LEAST_BYTES = 200_000
"""What an image counts for at least: with thousands of small ones in a shard, adding a few all
over a dataset would move most of it."""


def reach(mean_bytes: float, shard_bytes: float) -> int:
    """How many images before and behind it the first one of a shard has the least hash of.

    On average a shard has twice as many and one. It is a power of two, or zero, so that the mean
    can drift without moving every border.

    Args:
        mean_bytes: of an image.
        shard_bytes: what a shard holds on average, at most.
    """
    images = shard_bytes / max(mean_bytes, LEAST_BYTES)
    near = 0
    while 2 * max(1, 2 * near) + 1 <= images:
        near = max(1, 2 * near)
    return near


def coarser(near: int, share: float) -> int:
    """The reach for images of which only a share goes into the shards.

    Each of its borders is one of ``near`` too.
    """
    return int(near * 2 ** max(0, round(math.log2(1 / share))))


def average(near: int) -> int:
    """How many images a shard has on average."""
    return 2 * near + 1


def hashes(keys: Sequence[bytes]) -> Hashes:
    """A hash of each key, uint64 [N]."""
    digests = (blake2b(key, digest_size=8, person=b"shard").digest() for key in keys)
    return np.frombuffer(b"".join(digests), "<u8")


def borders(found: Hashes, near: int) -> npt.NDArray[np.bool_]:
    """Which of these, in their order, have the least hash of all that are as near, bool [N].

    None is where less than ``near`` others are on one side: what is added there would move it.
    """
    width = 2 * near + 1
    is_border = np.zeros(len(found), np.bool_)
    if len(found) < width:
        return is_border
    least, covered = found, 1
    while 2 * covered <= width:
        least, covered = np.minimum(least[:-covered], least[covered:]), 2 * covered
    shift = width - covered
    least = np.minimum(least[: len(least) - shift], least[shift:])
    is_border[near : len(found) - near] = found[near : len(found) - near] == least
    return is_border


def ranges(names: Sequence[str], starts: Collection[str]) -> list[slice]:
    """Cut names, in their order, into ranges that begin with these; equal names stay together."""
    places = [
        place
        for place, name in enumerate(names)
        if not place or (name in starts and name != names[place - 1])
    ]
    return [slice(*ends) for ends in pairwise([*places, len(names)])]
