import io
from typing import Any

import pytest
import torch
from torch import nn

from cocopipe.detect.training.choice import Choice, Scored


def module(value: float) -> nn.Module:
    """One whose weights tell what epoch they are of."""
    linear = nn.Linear(1, 1)
    with torch.no_grad():
        linear.weight.fill_(value)
    return linear


def seen(choice: Choice, *aps: float | None, first: int = 1) -> Choice:
    """It, after epochs with these APs, or with none."""
    for epoch, ap in enumerate(aps, start=first):
        choice.take(Scored(epoch, {} if ap is None else {"AP": ap, "AP50": 0.9}), module(epoch))
    return choice


def kept(choice: Choice) -> float | None:
    """The epoch that the weights are of."""
    into = module(-1)
    return into.weight.item() if choice.put_into(into) else None


@pytest.mark.parametrize(
    ("aps", "best"),
    [
        ([0.1, 0.3, 0.2], 2),
        ([0.1, 0.3, 0.3], 2),
        ([0.0, 0.0], 1),
        ([0.1, 0.2, 0.4], 3),
        ([None, 0.2, None, 0.1], 2),
    ],
)
def test_the_highest_is_kept_and_of_equal_ones_the_earliest(
    aps: list[float | None], best: int
) -> None:
    choice = seen(Choice("best", None), *aps)
    assert choice.best is not None
    assert choice.best.epoch == kept(choice) == best
    assert choice.best.scores == {"AP": aps[best - 1], "AP50": 0.9}
    assert choice.last is not None
    assert choice.last.epoch == len(aps)


def test_what_is_kept_does_not_change_with_the_module() -> None:
    choice, one = Choice("best", None), module(1)
    choice.take(Scored(1, {"AP": 0.5}), one)
    with torch.no_grad():
        one.weight.fill_(2)
    assert kept(choice) == 1


@pytest.mark.parametrize(("select", "aps"), [("last", [0.3, 0.1]), ("best", [None, None])])
def test_no_weights_are_kept_where_the_last_are_wanted_or_no_ap_is_defined(
    select: Any, aps: list[float | None]
) -> None:
    assert kept(seen(Choice(select, None), *aps)) is None


@pytest.mark.parametrize("select", ["best", "last"])
def test_patience_counts_aps_without_a_better_one(select: Any) -> None:
    choice = Choice(select, 2)
    for ap, is_over in [(0.1, False), (0.1, False), (0.2, False), (0.1, False), (None, False)]:
        assert seen(choice, ap).is_over == is_over
    assert seen(choice, 0.2).is_over


def test_without_patience_it_is_never_over() -> None:
    assert not seen(Choice("best", None), *[0.5] * 100).is_over


@pytest.mark.parametrize("stop", range(5))
def test_it_goes_on_from_its_state_as_torch_writes_it(stop: int) -> None:
    aps = [None, 0.2, 0.4, 0.3]
    first = seen(Choice("best", 1), *aps[:stop])
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = Choice("best", 1)
    second.restore(torch.load(file, weights_only=True))
    seen(second, *aps[stop:], first=stop + 1)
    assert second.best == Scored(3, {"AP": 0.4, "AP50": 0.9})
    assert second.last is not None
    assert (second.last.epoch, kept(second), second.is_over) == (4, 3, True)
