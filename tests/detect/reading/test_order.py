from collections import OrderedDict

import numpy as np
import pytest

from cocopipe.detect.reading.order import (
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
