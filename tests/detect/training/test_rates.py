import pytest
import torch
from torch import nn

from cocopipe.detect.settings import Schedule
from cocopipe.detect.training.rates import learning_rate_at


def rates(name: str, warmup: float, steps: int = 100) -> list[float]:
    schedule = Schedule(name=name, warmup_fraction=warmup)
    return [learning_rate_at(step, steps, peak=1.0, schedule=schedule) for step in range(steps)]


def test_one_cycle_is_torchs_but_for_where_it_ends() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1, total_steps=101, pct_start=0.3, cycle_momentum=False
    )
    expected = []
    for _ in range(100):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    ours = rates("one_cycle", 0.3)
    assert max(ours) == ours[29] == 1
    # Within the two steps by which the two count differently.
    assert all(abs(a - b) < 0.11 for a, b in zip(ours, expected, strict=True))
    assert ours[-1] < 0.001


def test_the_other_schedules_warm_up_linearly() -> None:
    for schedule in ("cosine", "step", "constant"):
        assert rates(schedule, 0.1)[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates("constant", 0.1)[10:] == [1.0] * 90
    assert rates("cosine", 0)[0] == 1
    assert rates("cosine", 0)[50] == pytest.approx(0.5)
    step = rates("step", 0)
    assert [step[at] for at in (59, 60, 84, 85)] == pytest.approx([1, 0.1, 0.1, 0.01])


@pytest.mark.parametrize("schedule", ["one_cycle", "cosine", "step", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.5, 1])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_short_trainings_have_a_rate_too(schedule: str, warmup: float, steps: int) -> None:
    assert all(0 < rate <= 1 for rate in rates(schedule, warmup, steps))
