"""A training that is killed; `tests.faults.kills` kills more, for more time."""

import pytest

from tests.faults.kills import stages, started, steps, until_it_trains
from tests.stages.conftest import Clone

FORCED = ("--force", "--single-item", "train")
"""Else DVC has the result already."""


@pytest.mark.slow
def test_who_is_killed_while_it_trains_comes_to_the_same_bytes(copied: Clone) -> None:
    once, before = steps(copied), copied.outs()
    copied.set(machine__checkpoint_minutes=0.0001)
    with started(copied, *FORCED):
        until_it_trains(copied)
    copied.repro(*FORCED)
    assert copied.outs() == before
    assert stages(copied, "FINISHED").count("train") == 2
    assert stages(copied, "KILLED") == []
    assert steps(copied) == [(metric, step, 2 * count) for metric, step, count in once]
