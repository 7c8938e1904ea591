"""The losses and scores of a training in MLflow, while it goes on."""

import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag

from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.tracking.tags import CHOSEN, STOPPED

_OF_STEP, _OF_EPOCH, _OF_ALL = "train/loss", "epoch_s", "chosen/epoch"
"""Metrics that every step, every epoch and every end of a training has."""


class LossLog:
    """Gives what a training yields to a run, whose store may be away meanwhile.

    Metrics are ``train/…``, ``learning_rate`` and ``images_per_s`` of a step, ``validation/…``,
    ``validation_s`` and ``epoch_s`` of an epoch, which has the number of its last step. At the end
    come ``chosen/…`` of the epoch whose weights were taken, ``tracking/share``, the share of the
    time that all this took, and ``tracking/longest_s``, the longest that anything of it did; tags
    say why that epoch, and why it stopped early. What the run has already, from before the training
    was stopped, is not given again.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        there = client.get_run(run_id).data.to_proto().metrics
        self._last = {metric.key: metric.step for metric in there}
        self._began = time.perf_counter()
        self._taken_s = self._longest_s = 0.0

    def take(self, event: Event) -> None:
        """Give the run the metrics of an event."""
        began = time.perf_counter()
        values, mark = self._values(event)
        is_new = event.step > self._last.get(mark, 0)
        metrics = _metrics(values, event) if is_new else []
        tags = _tags(event) if isinstance(event, TrainingEnd) else []
        if metrics or tags:
            self._client.log_batch(self._run_id, metrics=metrics, tags=tags)
        taken_s = time.perf_counter() - began
        self._taken_s, self._longest_s = self._taken_s + taken_s, max(self._longest_s, taken_s)

    def _values(self, event: Event) -> tuple[dict[str, float], str]:
        """The metrics of an event, and the name of one that all of its kind have."""
        match event:
            case Step():
                values = {f"train/{name}": value for name, value in event.losses.items()}
                speeds = {"learning_rate": event.learning_rate, "images_per_s": event.images_per_s}
                return values | speeds, _OF_STEP
            case EpochEnd():
                judged = {**event.losses, **event.scores}
                values = {f"validation/{name}": value for name, value in judged.items()}
                times = {"validation_s": event.validation_s, "epoch_s": event.duration_s}
                return values | times, _OF_EPOCH
            case TrainingEnd():
                values = {f"chosen/{name}": value for name, value in event.scores.items()}
                share = self._taken_s / (time.perf_counter() - self._began)
                costs = {"tracking/share": share, "tracking/longest_s": self._longest_s}
                return values | costs | {_OF_ALL: float(event.epoch)}, _OF_ALL


def _metrics(values: Mapping[str, float], event: Event) -> list[Metric]:
    time_ms = int(event.time_s * 1000)
    return [Metric(name, value, time_ms, event.step) for name, value in values.items()]


def _tags(end: TrainingEnd) -> list[RunTag]:
    tags = [RunTag(CHOSEN, f"epoch {end.epoch}, {end.reason}")]
    if end.stopped is not None:
        tags.append(RunTag(STOPPED, f"after epoch {end.epochs}: {end.stopped}"))
    return tags
