"""Borders of shards: from the pictures alone, so that little changes where little was changed."""

import random

import numpy as np
import pytest

from cocopipe.convert.cutting import average, borders, coarser, hashes, ranges, reach

MEGABYTE = 2**20


def starts(names: list[str], near: int = 8) -> set[str]:
    ordered = sorted(set(names))
    found = borders(hashes([name.encode() for name in ordered]), near)
    return {name for name, begins in zip(ordered, found, strict=True) if begins}


def cut(names: list[str], near: int = 8) -> dict[str, tuple[str, ...]]:
    """First name -> the names of a range."""
    return {names[part.start]: tuple(names[part]) for part in ranges(names, starts(names, near))}


def changed(one: dict[str, tuple[str, ...]], other: dict[str, tuple[str, ...]]) -> int:
    """How many ranges of ``other`` would have to be stored anew."""
    return sum(one.get(name) != names for name, names in other.items())


def named(number: int) -> str:
    return f"{number:012d}"


NAMES = [named(each) for each in sorted(random.Random(1).sample(range(600_000), 3000))]


def test_ranges_hold_all_names_in_order_and_are_near_the_average() -> None:
    cuts = list(cut(NAMES).values())
    assert [name for part in cuts for name in part] == NAMES
    assert average(8) == 17
    assert 15 < len(NAMES) / len(cuts) < 19
    lengths = [len(part) for part in cuts[1:-1]]
    assert min(lengths) > 8
    assert max(lengths) < 4 * 17


@pytest.mark.parametrize("near", [0, 1, 3, 8, 100])
def test_a_border_has_the_least_hash_nearby(near: int) -> None:
    found = np.random.default_rng(near).integers(0, 2**63, 500).astype(np.uint64)
    expected = [
        near <= place < 500 - near
        and found[place] == min(found[place - near : place + near + 1].tolist())
        for place in range(500)
    ]
    assert borders(found, near).tolist() == expected


def test_equal_names_stay_together() -> None:
    names = [name for name in NAMES for _ in range(3)]
    parts = ranges(names, starts(names, 2))
    assert len(parts) > 100
    assert all(part.start % 3 == part.stop % 3 == 0 for part in parts)


def test_one_name_more_or_less_changes_about_two_ranges() -> None:
    before = cut(NAMES)
    chance = random.Random(2)
    counts = []
    for _ in range(300):
        more = sorted({*NAMES, named(chance.randrange(600_000))})
        less = sorted({*NAMES} - {chance.choice(NAMES)})
        counts += [changed(before, cut(more)), changed(before, cut(less))]
    assert np.mean(counts) < 1.5
    assert np.mean([count <= 2 for count in counts]) > 0.98
    assert max(counts) <= 4


def test_names_at_the_end_change_the_last_range_only() -> None:
    before = cut(NAMES)
    after = cut([*NAMES, *map(named, range(600_000, 600_030))])
    kept = list(before)[:-1]
    assert all(after[name] == before[name] for name in kept)


def test_one_percent_all_over_moves_a_tenth() -> None:
    """What the default is chosen for: COCO's images, nine a shard."""
    names = [named(each) for each in sorted(random.Random(1).sample(range(600_000), 20_000))]
    before = cut(names, 4)
    more = sorted({*names, *map(named, random.Random(2).sample(range(600_000), 200))})
    moved = sum(len(its) for name, its in cut(more, 4).items() if before.get(name) != its)
    assert moved / len(more) < 0.12


def test_a_border_of_coarser_ranges_is_one_of_finer_ones() -> None:
    assert starts(NAMES, 64) < starts(NAMES, 16) < starts(NAMES, 2) < starts(NAMES, 0)


@pytest.mark.parametrize(
    ("near", "share", "expected"), [(4, 1, 4), (4, 0.8, 4), (4, 0.2, 16), (4, 0.1, 32), (0, 0.1, 0)]
)
def test_a_part_has_ranges_of_more_names(near: int, share: float, expected: int) -> None:
    assert coarser(near, share) == expected


def test_borders_stay_when_the_mean_size_drifts() -> None:
    assert reach(130_000, 2 * MEGABYTE) == reach(230_000, 2 * MEGABYTE) == 4
    assert reach(240_000, 2 * MEGABYTE) == 2
    assert reach(10**9, MEGABYTE) == 0
    assert reach(0, 2 * MEGABYTE) == 4
    assert reach(0, 8 * MEGABYTE) == 16


def test_few_names_are_one_range() -> None:
    assert ranges(NAMES[:10], starts(NAMES[:10])) == [slice(0, 10)]
    assert ranges([], set()) == []
