from copy import deepcopy

import pytest
from mlflow.entities import Metric

from cocopipe.detect.training.loop import EpochEnd, Step
from cocopipe.tracking import losses
from cocopipe.tracking.losses import LossLog

EVENTS = [
    *(Step(1, step, {"cls": 0.5, "loss": 1.0 / step}, 0.01, 20.0) for step in (1, 2, 3)),
    EpochEnd(1, {"loss": 0.7}, 3.0),
    Step(2, 4, {"cls": 0.5, "loss": 0.25}, 0.01, 20.0),
    EpochEnd(2, {"loss": 0.6}, 3.5),
]


class Received:
    """What a store would get; that a real one takes it, the pipeline's own run shows."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[tuple[int, float]]] = {}

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
