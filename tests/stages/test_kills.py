"""A pipeline that is killed while it trains; `kills` has more of that, for more time."""

import time
from pathlib import Path

import pytest

from tests.faults.kills import SETTINGS, marks, started, until_it_trains
from tests.stages.conftest import Clone


@pytest.mark.slow
def test_who_is_killed_while_it_trains_comes_to_the_same_bytes(
    finished: Clone, tmp_path: Path
) -> None:
    whole, clone = finished.copy(tmp_path / "whole"), finished.copy(tmp_path / "killed")
    for each in (whole, clone):
        each.set_params({**SETTINGS, "train.epochs": 2})
    whole.repro("train")
    with started(clone):
        until_it_trains(clone)
        time.sleep(0.3)
    clone.repro("train")
    assert marks(clone, whole) == []
