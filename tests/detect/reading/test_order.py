from collections import OrderedDict

import numpy as np
import pytest

from cocopipe.detect.reading.order import (
    Part,
    Parts,
    Share,
    Shuffled,
    groups_in_window,
    in_order,
    shuffled,
)


def groups(images: int, size: int = 32) -> np.ndarray:
    return np.arange(images) // size


def test_every_epoch_has_each_image_once_in_an_order_of_its_own() -> None:
    order = Shuffled(groups(5000), seed=1)
    seen = []
    for epoch in (1, 2, 1):
        order.epoch = epoch
        keys = list(order)
        assert {key[0] for key in keys} == {epoch}
        assert sorted(key[1] for key in keys) == list(range(5000))
        seen.append([index for _, index in keys])
    assert seen[0] == seen[2]
    assert seen[0] != seen[1]
    assert seen[0] != shuffled(groups(5000), seed=2, epoch=1).tolist()


def test_neighbours_are_torn_apart() -> None:
    order = shuffled(groups(5000), seed=0, epoch=0)
    distance = np.abs(np.diff(order))
    assert (distance < 32).mean() < 0.1
    assert np.abs(np.corrcoef(np.arange(5000), order)[0, 1]) < 0.25


def test_a_reader_that_keeps_twice_the_window_reads_each_group_once() -> None:
    kept: OrderedDict[int, None] = OrderedDict()
    read = []
    most = 2 * groups_in_window(groups(20_000))
    for group in groups(20_000)[shuffled(groups(20_000), seed=0, epoch=3)]:
        if group not in kept:
            read.append(group)
            kept[group] = None
        kept.move_to_end(group)
        if len(kept) > most:
            kept.popitem(last=False)
    assert len(read) == len(set(read))


@pytest.mark.parametrize("of", [1, 2, 3, 7])
@pytest.mark.parametrize("images", [0, 1, 5, 1000])
def test_shares_are_equal_and_have_everything_once(of: int, images: int) -> None:
    shares = [
        shuffled(groups(images), seed=0, epoch=1, share=Share(number, of)) for number in range(of)
    ]
    assert sorted(np.concatenate(shares)) == list(range(images))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_shares_have_hardly_any_group_in_common() -> None:
    shares = [
        set(groups(5000)[shuffled(groups(5000), seed=0, epoch=1, share=Share(number, 4))])
        for number in range(4)
    ]
    assert sum(map(len, shares)) <= len(set(groups(5000))) + 3


def test_shares_of_shares_are_shares() -> None:
    assert Share(1, 2).of_each(2, 3) == Share(5, 6)
    with pytest.raises(ValueError, match="share 2 of 2"):
        Share(2, 2)


def test_in_order_is_in_order() -> None:
    assert in_order([2, 0, 1]) == [(0, 2), (0, 0), (0, 1)]


def parts_of(
    number: int, of: int, *, images: int, begun: int = 0, most: int | None = None
) -> Parts:
    """One reader's parts of an epoch, in batches of eight, after so many steps."""
    parts = Parts(Shuffled(groups(images), seed=3), 8, Share(number, of), most)
    parts.begin(2, begun)
    return parts


@pytest.mark.parametrize("images", [1, 7, 8, 33, 100])
@pytest.mark.parametrize("most", [None, 1, 3])
def test_whoever_goes_on_each_image_is_learnt_from_once_an_epoch(
    images: int, most: int | None
) -> None:
    steps = parts_of(0, 1, images=images).steps
    seen: list[int] = []
    for of, begun, until in (
        (4, 0, steps // 3),
        (2, steps // 3, steps // 2),
        (3, steps // 2, steps),
    ):
        for number in range(of):
            step = begun
            for part in parts_of(number, of, images=images, begun=begun, most=most).parts():
                if step < until and part.weight:
                    seen += [index for _, index in part.keys]
                step += part.ends_step
            assert step == steps
    assert sorted(seen) == list(range(images))


@pytest.mark.parametrize("of", [1, 2, 3, 4, 11])
def test_parts_of_all_readers_weigh_one_and_are_told_apart(of: int) -> None:
    by_step: dict[int, list[Part]] = {}
    for number in range(of):
        step = 0
        for part in parts_of(number, of, images=19, most=2).parts():
            by_step.setdefault(step, []).append(part)
            step += part.ends_step
    assert [round(sum(part.weight for part in each), 12) for each in by_step.values()] == [1, 1, 1]
    assert [{part.batch for part in each} for each in by_step.values()] == [{8}, {8}, {3}]
    names = [part.name for each in by_step.values() for part in each if part.weight]
    assert len(names) == len(set(names))


def test_parts_are_read_as_they_are_told() -> None:
    parts = parts_of(1, 2, images=30, most=3)
    assert list(parts) == [list(part.keys) for part in parts.parts()]
