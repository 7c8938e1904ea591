"""Steps whose losses are fetched in groups."""

import math

import pytest
import torch
from torch import Tensor

from cocopipe.detect.training import losses
from cocopipe.detect.training.losses import Steps, in_one, with_sum
from cocopipe.errors import UserError
from tests.detect.small import CPU


def parts(value: float) -> dict[str, Tensor]:
    return {"cls": torch.tensor(value, requires_grad=True), "loss": torch.tensor(2 * value)}


def test_on_the_cpu_a_step_is_due_at_once() -> None:
    steps = Steps(CPU)
    steps.add(1, 1, parts(0.5), rate=0.01, images=4)
    assert steps.are_due
    (step,) = steps.fetched()
    assert (step.epoch, step.step, step.losses) == (1, 1, {"cls": 0.5, "loss": 1.0})
    assert step.learning_rate == 0.01
    assert list(steps.fetched()) == []


def test_others_wait_and_come_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(losses.time, "perf_counter", lambda: now[0])
    monkeypatch.setitem(losses.FETCH_S, "cpu", 1.0)
    steps = Steps(CPU)
    for number, value in enumerate((0.5, 0.25, 0.125), start=1):
        assert not steps.are_due
        steps.add(1, number, parts(value), rate=0.01, images=4)
        now[0] += 0.4
    assert steps.are_due
    found = list(steps.fetched())
    assert [step.step for step in found] == [1, 2, 3]
    assert [step.losses["loss"] for step in found] == [1.0, 0.5, 0.25]
    assert [step.images_per_s for step in found] == pytest.approx([10, 10, 10])
    assert not steps.are_due


def test_what_came_before_a_loss_that_is_not_finite_is_told() -> None:
    steps = Steps(CPU)
    for number, value in enumerate((0.5, math.nan, 0.125), start=7):
        steps.add(2, number, parts(value), rate=0.02, images=4)
    found = steps.fetched()
    assert next(found).step == 7
    with pytest.raises(UserError, match=r"not finite at step 8 with learning rate 0\.02 \(cls nan"):
        next(found)


def test_the_sum_is_of_all_parts() -> None:
    summed = with_sum({"cls": torch.tensor(0.5), "box": torch.tensor(0.25)})
    assert in_one(summed).tolist() == [0.5, 0.25, 0.75]
