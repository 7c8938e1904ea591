"""Processes that train one detector together, over gloo."""

import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cocopipe.detect.training import checkpoints
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.events import EpochEnd, Event, Step
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.team import Resources
from cocopipe.errors import UserError
from tests.detect.small import CPU, TRAINING, new_detector

SETTINGS = replace(TRAINING, batch_size=4, epochs=2)


def steps(events: list[Event]) -> list[Step]:
    return [event for event in events if isinstance(event, Step)]


@pytest.mark.slow
def test_two_processes_do_what_one_does_in_two_parts(split: Path) -> None:
    settings = replace(SETTINGS, epochs=25, eval_epochs=25)
    one, two = (new_detector(image_size=64) for _ in range(2))
    alone = list(train(one, split, split, settings, Resources(CPU, micro_batch=2)))
    together = list(train(two, split, split, settings, Resources(CPU, processes=2)))
    losses = [[event.losses["loss"] for event in steps(each)] for each in (alone, together)]
    assert len(losses[0]) == 50
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    for event, other in zip(steps(alone), steps(together), strict=True):
        assert (event.epoch, event.step) == (other.epoch, other.step)
        assert event.learning_rate == other.learning_rate


@pytest.mark.slow
def test_four_two_and_one_go_on_with_each_others_work(
    split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "MOST_COST", float("inf"))
    settings = replace(SETTINGS, batch_size=3)
    seen: list[Event] = []
    for processes, until in ((4, 2), (2, 4), (1, None)):
        events = train(
            new_detector(image_size=64),
            split,
            split,
            settings,
            Resources(CPU, processes=processes),
            Checkpoints(tmp_path, 0),
        )
        seen = []
        for event in events:
            seen.append(event)
            if len(steps(seen)) == until:
                events.close()
                break
    done = steps(seen)
    assert [(each.epoch, each.step) for each in done] == [
        (1 + (step - 1) // 3, step) for step in range(1, 7)
    ]
    assert [each.epoch for each in seen if isinstance(each, EpochEnd)] == [1, 2]


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_training_with_a_sentence(split: Path) -> None:
    settings = replace(SETTINGS, epochs=1000, eval_epochs=1000)
    events = train(new_detector(image_size=64), split, split, settings, Resources(CPU, processes=2))
    next(events)
    (other,) = (
        child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())
    )
    began = time.monotonic()
    other.kill()
    with pytest.raises(UserError, match="process 1 of the training ended by signal 9: run `dvc"):
        list(events)
    assert time.monotonic() - began < 60


def test_norms_of_all_processes_are_for_gpus(split: Path) -> None:
    settings = replace(SETTINGS, sync_norms=True)
    with pytest.raises(UserError, match=r"train\.sync_norms is true, which torch can do on GPUs"):
        list(train(new_detector(image_size=64), split, split, settings, Resources(CPU)))


@pytest.mark.slow
def test_nobody_is_left_behind(split: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    events = train(new_detector(image_size=64), split, split, SETTINGS, Resources(CPU, processes=2))
    next(events)
    events.close()
    left = {
        child.pid
        for child in psutil.Process().children()
        if child.pid not in before and "resource_tracker" not in " ".join(child.cmdline())
    }
    assert not left
