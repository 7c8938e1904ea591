from copy import deepcopy

import pytest
from mlflow.entities import Metric, Run, RunData, RunInfo

from cocopipe.detect.training.events import EpochEnd, Step
from cocopipe.tracking import losses
from cocopipe.tracking.losses import LossLog

EVENTS = [
    *(Step(1, step, {"cls": 0.5, "loss": 1.0 / step}, 0.01, 20.0, 9.0) for step in (1, 2, 3)),
    EpochEnd(1, 3, {"loss": 0.7}, 3.0, 9.5),
    Step(2, 4, {"cls": 0.5, "loss": 0.25}, 0.01, 20.0, 10.0),
    EpochEnd(2, 4, {"loss": 0.6}, 3.5, 10.25),
]


class Received:
    """What a store would get; that a real one takes it, the pipeline's own run shows."""

    def __init__(self, *there: Metric) -> None:
        self.metrics: dict[str, list[tuple[int, float]]] = {}
        self.there = list(there)

    def get_run(self, run_id: str) -> Run:
        info = RunInfo(run_id, "0", "a user", "RUNNING", 0, None, "active")
        return Run(info, RunData(metrics=self.there))

    def log_batch(self, run_id: str, metrics: list[Metric]) -> None:
        assert run_id == "a run"
        assert len(metrics) <= 8
        for each in metrics:
            self.metrics.setdefault(each.key, []).append((each.step, each.value))


def test_metrics_are_sent_when_they_are_many_and_at_the_end_of_each_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "METRICS_A_BATCH", 8)  # two steps
    received, counts = Received(), []
    log, before = LossLog(received, "a run"), deepcopy(EVENTS)
    for event in EVENTS:
        log.take(event)
        counts.append(len(received.metrics.get("train/loss", [])))
    assert before == EVENTS
    assert counts == [0, 2, 2, 3, 3, 4]
    assert received.metrics == {
        "train/cls": [(step, 0.5) for step in (1, 2, 3, 4)],
        "train/loss": [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)],
        "learning_rate": [(step, 0.01) for step in (1, 2, 3, 4)],
        "images_per_s": [(step, 20.0) for step in (1, 2, 3, 4)],
        "validation/loss": [(3, 0.7), (4, 0.6)],
        "epoch_s": [(3, 3.0), (4, 3.5)],
    }


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("has_epoch", [False, True])
def test_what_the_run_has_is_not_sent_again(
    step: int, has_epoch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a training that was stopped after a step, and goes on from an earlier one."""
    monkeypatch.setattr(losses, "METRICS_A_BATCH", 8)
    there = [Metric("train/loss", 1.0, 0, step)] if step else []
    there += [Metric("validation/loss", 1.0, 0, 3 if step < 4 else 4)] if has_epoch else []
    received = Received(*there)
    log = LossLog(received, "a run")
    for event in EVENTS:
        log.take(event)
    steps = [one for one, _ in received.metrics.get("train/loss", [])]
    assert steps == [one for one in (1, 2, 3, 4) if one > step]
    ends = [one for one, _ in received.metrics.get("validation/loss", [])]
    assert ends == ([3, 4] if not has_epoch else [4] if step < 4 else [])
