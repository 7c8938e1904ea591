"""Which object of one version is which of another.

Annotation tools renumber what they write, so an id is evidence and no proof. What is equal is
the same object, whatever its id. Of the rest, ids decide in images where equal objects mostly
have the same one, and the overlap of boxes does everywhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from cocopipe.diff.fingerprints import Hashes, join
from cocopipe.split.boxes import are_usable

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Pairs = tuple[Ints, Ints]
"""Rows of one table and of another that belong together, [K] each."""

BLOCK = 2**20
"""Pairs of boxes whose IoU is computed at the same time."""


@dataclass(frozen=True)
class HashedObjects:
    """The objects of a split in columns, M of them, in any order."""

    image: Ints
    """The number of the image, the same in both versions, [M]."""
    ids: Ints
    """The ids of the annotations as the document has them, [M]."""
    category: Ints
    """A number for the name of the category, the same in both versions, [M]."""
    boxes: Floats
    """xywh in pixels, NaN where there is none, [M, 4]."""
    box_hash: Hashes
    """A hash of the box as it is written, [M]."""
    rest_hash: Hashes
    """A hash of all that is neither id, place in the document, category nor box, [M]."""

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[Any]) -> "HashedObjects":
        """These rows of every column."""
        return HashedObjects(*(getattr(self, each.name)[rows] for each in fields(self)))

    @property
    def id_hash(self) -> Hashes:
        """A hash of image and id, [M]."""
        return join(self.image.view(np.uint64), self.ids.view(np.uint64))

    @property
    def content_hash(self) -> Hashes:
        """A hash of everything but id and place in the document, [M]."""
        numbers = (each.view(np.uint64) for each in (self.image, self.category))
        return join(*numbers, self.box_hash, self.rest_hash)


class Pairing:
    """One-to-one pairs of rows of two tables, found step by step."""

    def __init__(self, before: int, after: int) -> None:
        self._after_of = np.full(before, -1, np.int64)
        self._is_free_after = np.ones(after, np.bool_)

    @property
    def pairs(self) -> Pairs:
        """The rows that have a partner, before and after, in the order of those before."""
        before = np.flatnonzero(self._after_of >= 0)
        return before, self._after_of[before]

    @property
    def free(self) -> Pairs:
        """The rows without a partner, before and after."""
        return np.flatnonzero(self._after_of < 0), np.flatnonzero(self._is_free_after)

    def add(self, before: Ints, after: Ints) -> None:
        """Make pairs of free rows."""
        self._after_of[before] = after
        self._is_free_after[after] = False

    def add_equal(self, before: Hashes, after: Hashes) -> None:
        """Pair free rows whose keys are equal, the first with the first; keys are of all rows."""
        free_before, free_after = self.free
        one, other = _equal(before[free_before], after[free_after])
        self.add(free_before[one], free_after[other])


def _equal(before: Hashes, after: Hashes) -> Pairs:
    """Rows of equal keys, each at most once: the k-th of a key with the k-th."""
    if not len(before) or not len(after):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    by_key, by_other_key = np.argsort(before, kind="stable"), np.argsort(after, kind="stable")
    keys, others = before[by_key], after[by_other_key]
    nth = np.arange(len(keys)) - np.searchsorted(keys, keys)
    places = np.searchsorted(others, keys) + nth
    is_there = places < len(others)
    is_there[is_there] = others[places[is_there]] == keys[is_there]
    return by_key[is_there], by_other_key[places[is_there]]


def match(before: HashedObjects, after: HashedObjects, threshold: float) -> Pairs:
    """Find the same objects in two versions of the same images.

    In this order, and never one object twice:

    1. those that are equal but for id and place in the document, same ids first;
    2. those of one id that have the same category or overlap at all, in images that kept ids;
    3. those whose boxes are equal or reach the threshold, of one category before those of two,
       the greatest IoU first.

    An image kept its ids if of its equal objects more have the same id than have another. Where
    it is as many, or there are none, those decide whose boxes overlap best, and else all images.
    The same pairs are found when ``before`` and ``after`` change places.

    Args:
        before: the objects of one version.
        after: the objects of the other; the same numbers of images and categories.
        threshold: the least IoU, above 0.

    Returns:
        Rows of ``before`` and of ``after``, int64 [K] each, in the order of ``before``.
    """
    found = Pairing(len(before), len(after))
    content, other_content = before.content_hash, after.content_hash
    found.add_equal(join(content, before.id_hash), join(other_content, after.id_hash))
    found.add_equal(content, other_content)
    candidates = _candidates(before, after, found.free, threshold)
    kept_ids = _kept_ids(before, after, found.pairs, _greedy(candidates.best_first()))
    found.add(*_same_ids(before, after, found.free, kept_ids))
    found.add(*_greedy(candidates.of(*found.free).best_first(same_category_first=True)))
    return found.pairs


def ious(before: Floats, after: Floats) -> Floats:
    """IoU of each pair of boxes; 0 where either is no finite box with an area.

    Args:
        before: xywh in pixels, [K, 4].
        after: the same, [K, 4].

    Returns:
        float64 [K], the same bits when the two change places.
    """
    is_usable = are_usable(before) & are_usable(after)
    with np.errstate(all="ignore"):
        low = np.maximum(before[:, :2], after[:, :2])
        high = np.minimum(before[:, :2] + before[:, 2:], after[:, :2] + after[:, 2:])
        common = np.prod(np.clip(high - low, 0, None), axis=1)
        areas = np.prod(before[:, 2:], axis=1) + np.prod(after[:, 2:], axis=1)
        overlap = common / (areas - common)
    # Rounding may lead past 1, and areas that no float holds anywhere.
    return np.where(is_usable & np.isfinite(overlap), np.clip(overlap, 0, 1), 0.0)


def _kept_ids(
    before: HashedObjects, after: HashedObjects, equal: Pairs, overlapping: Pairs
) -> Flags:
    """By image: whether its objects kept their ids, going by pairs that were found without them."""
    votes, other_votes = _votes(before, after, equal), _votes(before, after, overlapping)
    votes = np.where(votes == 0, other_votes, votes)
    return np.where(votes == 0, votes.sum() >= 0, votes > 0)


def _votes(before: HashedObjects, after: HashedObjects, pairs: Pairs) -> Ints:
    """By image: how many more of these pairs have one id than have two."""
    one, other = pairs
    votes = np.zeros(int(before.image.max(initial=-1)) + 1, np.int64)
    np.add.at(votes, before.image[one], np.where(before.ids[one] == after.ids[other], 1, -1))
    return votes


def _same_ids(before: HashedObjects, after: HashedObjects, free: Pairs, kept_ids: Flags) -> Pairs:
    """Free objects of one id that have the same category or overlap."""
    left, right = free
    one, other = _equal(before.take(left).id_hash, after.take(right).id_hash)
    one, other = left[one], right[other]
    overlap = ious(before.boxes[one], after.boxes[other])
    is_plausible = (before.category[one] == after.category[other]) | (overlap > 0)
    chosen = is_plausible & kept_ids[before.image[one]]
    return one[chosen], other[chosen]


@dataclass(frozen=True)
class _Candidates:
    """Pairs of objects that may be the same, P of them."""

    before: Ints
    """The rows of the objects before, [P]."""
    after: Ints
    """The rows of the objects after, [P]."""
    iou: Floats
    """1 for equal boxes, [P]."""
    is_other_category: Flags
    """Whether the two are of different categories, [P]."""
    rank_before: Ints
    """The place of the object among those of its image, by content, [P]."""
    rank_after: Ints

    def of(self, before: Ints, after: Ints) -> "_Candidates":
        """The candidates of which both objects are among these rows."""
        return self._take(np.isin(self.before, before) & np.isin(self.after, after))

    def best_first(self, *, same_category_first: bool = False) -> Pairs:
        """The rows of all pairs, the greatest IoU first.

        Of pairs that are even in all that this compares, no two have an object in common: the
        order of a document, and which one is called ``before``, do not change what is paired.
        """
        keys = [np.abs(self.rank_before - self.rank_after), self.rank_before + self.rank_after]
        keys.append(-self.iou)
        if same_category_first:
            keys.append(self.is_other_category)
        order = np.lexsort(keys)
        return self.before[order], self.after[order]

    def _take(self, which: Flags) -> "_Candidates":
        return _Candidates(*(getattr(self, each.name)[which] for each in fields(self)))


def _candidates(
    before: HashedObjects, after: HashedObjects, free: Pairs, threshold: float
) -> _Candidates:
    """Free objects of one image whose boxes are equal or reach the threshold."""
    none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    parts = [none, *_overlapping(before, after, free, threshold)]
    one, other, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_other = before.category[one] != after.category[other]
    return _Candidates(one, other, iou, is_other, _ranks(before, one), _ranks(after, other))


def _overlapping(
    before: HashedObjects, after: HashedObjects, free: Pairs, threshold: float
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Rows and IoU of such pairs, of a limited number of pairs at a time."""
    (starts, ends), (other_starts, other_ends) = _extents(before), _extents(after)
    has_numbers = np.logical_not(np.isnan(before.boxes).all(1))
    for one, other in _of_one_image(before, after, free):
        is_equal = has_numbers[one] & (before.box_hash[one] == after.box_hash[other])
        # Most pairs are beside each other: to see that costs a fraction of their IoU.
        is_near = (starts[one] < other_ends[other]) & (other_starts[other] < ends[one])
        near = np.flatnonzero(is_near | is_equal)
        overlap = ious(before.boxes[one[near]], after.boxes[other[near]])
        overlap[is_equal[near]] = 1  # of boxes without area, too
        fits = overlap >= threshold
        yield one[near[fits]], other[near[fits]], overlap[fits]


def _extents(objects: HashedObjects) -> tuple[Floats, Floats]:
    """Where boxes start and end from left to right, [M] each."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(objects.boxes[:, 0]), objects.boxes[:, 0] + objects.boxes[:, 2]


def _of_one_image(before: HashedObjects, after: HashedObjects, free: Pairs) -> Iterator[Pairs]:
    """All pairs of free objects of one image, some ``BLOCK`` at a time."""
    left, right = free
    right = right[np.argsort(after.image[right], kind="stable")]
    first, last = (
        np.searchsorted(after.image[right], before.image[left], side) for side in ("left", "right")
    )
    partners = last - first
    blocks = np.cumsum(partners) // BLOCK
    for block in np.split(np.arange(len(left)), np.flatnonzero(np.diff(blocks)) + 1):
        counts = partners[block]
        one = np.repeat(left[block], counts)
        places = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts)
        yield one, right[places + np.repeat(first[block], counts)]


def _ranks(objects: HashedObjects, rows: Ints) -> Ints:
    """The places of objects among those of their image, by their content alone."""
    distinct, inverse = np.unique(rows, return_inverse=True)
    ranked = objects.take(distinct)
    in_order = np.lexsort((ranked.content_hash, ranked.image))
    ordered = ranked.image[in_order]
    ranks = np.empty(len(distinct), np.int64)
    ranks[in_order] = np.arange(len(distinct)) - np.searchsorted(ordered, ordered)
    return ranks[inverse]


def _greedy(best_first: Pairs) -> Pairs:
    """Choose from pairs, the best of which come first, those whose objects no better pair has."""
    one, other = best_first
    taken_before: set[int] = set()
    taken_after: set[int] = set()
    chosen = []
    for place, (row, other_row) in enumerate(zip(one.tolist(), other.tolist(), strict=True)):
        if row not in taken_before and other_row not in taken_after:
            taken_before.add(row)
            taken_after.add(other_row)
            chosen.append(place)
    return one[chosen], other[chosen]
