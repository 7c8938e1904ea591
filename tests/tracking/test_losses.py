from copy import deepcopy
from dataclasses import replace

import pytest
from mlflow.entities import Metric, Run, RunData, RunInfo, RunTag

from cocopipe.detect.training.events import EpochEnd, Step, TrainingEnd
from cocopipe.tracking.losses import LossLog

END = TrainingEnd(2, "the best AP", {"AP": 0.5, "AP50": 0.75}, 2, 4, "for a reason", 10.5)
EVENTS = [
    *(Step(1, step, {"cls": 0.5, "loss": 1.0 / step}, 0.01, 20.0, 9.0) for step in (1, 2, 3)),
    EpochEnd(1, 3, {"loss": 0.7}, {}, 3.0, 0.25, 9.5),
    Step(2, 4, {"cls": 0.5, "loss": 0.25}, 0.01, 20.0, 10.0),
    EpochEnd(2, 4, {}, {"AP": 0.5, "AP50": 0.75}, 3.5, 0.5, 10.25),
    END,
]


class Received:
    """What a store would get; that a real one takes it, the pipeline's own run shows."""

    def __init__(self, *there: Metric) -> None:
        self.metrics: dict[str, list[tuple[int, float]]] = {}
        self.tags: dict[str, str] = {}
        self.there = list(there)

    def get_run(self, run_id: str) -> Run:
        info = RunInfo(run_id, "0", "a user", "RUNNING", 0, None, "active")
        return Run(info, RunData(metrics=self.there))

    def log_batch(self, run_id: str, metrics: list[Metric], tags: list[RunTag]) -> None:
        assert run_id == "a run"
        self.tags |= {tag.key: tag.value for tag in tags}
        for each in metrics:
            self.metrics.setdefault(each.key, []).append((each.step, each.value))


def test_each_event_is_given_at_once() -> None:
    received, counts = Received(), []
    log, before = LossLog(received, "a run"), deepcopy(EVENTS)
    for event in EVENTS:
        log.take(event)
        counts.append(len(received.metrics.get("train/loss", [])))
    assert before == EVENTS
    assert counts == [1, 2, 3, 3, 4, 4, 4]
    costs = {name: received.metrics.pop(f"tracking/{name}") for name in ("share", "longest_s")}
    assert all(step == 4 and 0 < value < 1 for ((step, value),) in costs.values())
    assert received.metrics == {
        "train/cls": [(step, 0.5) for step in (1, 2, 3, 4)],
        "train/loss": [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)],
        "learning_rate": [(step, 0.01) for step in (1, 2, 3, 4)],
        "images_per_s": [(step, 20.0) for step in (1, 2, 3, 4)],
        "validation/loss": [(3, 0.7)],
        "validation/AP": [(4, 0.5)],
        "validation/AP50": [(4, 0.75)],
        "validation_s": [(3, 0.25), (4, 0.5)],
        "epoch_s": [(3, 3.0), (4, 3.5)],
        "chosen/AP": [(4, 0.5)],
        "chosen/AP50": [(4, 0.75)],
        "chosen/epoch": [(4, 2.0)],
    }
    assert received.tags == {
        "chosen_epoch": "epoch 2, the best AP",
        "stopped_early": "after epoch 2: for a reason",
    }


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("has_epoch", [False, True])
@pytest.mark.parametrize("is_over", [False, True])
def test_what_the_run_has_is_not_sent_again(step: int, has_epoch: bool, is_over: bool) -> None:
    """Of a training that was stopped after a step, and goes on from an earlier one."""
    there = [Metric("train/loss", 1.0, 0, step)] if step else []
    there += [Metric("epoch_s", 1.0, 0, 3 if step < 4 else 4)] if has_epoch else []
    there += [Metric("chosen/epoch", 1.0, 0, 4)] if is_over else []
    received = Received(*there)
    log = LossLog(received, "a run")
    for event in EVENTS:
        log.take(event)
    steps = [one for one, _ in received.metrics.get("train/loss", [])]
    assert steps == [one for one in (1, 2, 3, 4) if one > step]
    ends = [one for one, _ in received.metrics.get("epoch_s", [])]
    assert ends == ([3, 4] if not has_epoch else [4] if step < 4 else [])
    assert ("chosen/epoch" in received.metrics) == (not is_over)


def test_a_training_that_did_not_stop_early_has_no_tag_of_that() -> None:
    received = Received()
    LossLog(received, "a run").take(replace(END, stopped=None))
    assert received.tags == {"chosen_epoch": "epoch 2, the best AP"}
