"""The losses and scores of a training in MLflow, while it goes on."""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag

from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.tracking.tags import CHOSEN, STOPPED

METRICS_A_BATCH = 900
"""MLflow takes 1000 at once."""

_OF_STEP, _OF_EPOCH, _OF_ALL = "train/loss", "epoch_s", "chosen/epoch"
"""Metrics that every step, every epoch and every end of a training has."""


class LossLog:
    """Sends what a training yields to a run, metrics in batches, the last with each epoch.

    Metrics are ``train/…``, ``learning_rate`` and ``images_per_s`` of a step, ``validation/…``,
    ``validation_s`` and ``epoch_s`` of an epoch, which has the number of its last step, and
    ``chosen/…`` of the epoch whose weights were taken; tags say why, and why it stopped early.
    What the run has already, from before the training was stopped, is not sent again.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        there = client.get_run(run_id).data.to_proto().metrics
        self._last = {metric.key: metric.step for metric in there}

    def take(self, event: Event) -> None:
        """Send the metrics of an event, or keep them for the next batch."""
        match event:
            case Step():
                values = {f"train/{name}": value for name, value in event.losses.items()}
                values |= {"learning_rate": event.learning_rate, "images_per_s": event.images_per_s}
                there = _OF_STEP
            case EpochEnd():
                judged = {**event.losses, **event.scores}
                values = {f"validation/{name}": value for name, value in judged.items()}
                values |= {"validation_s": event.validation_s, "epoch_s": event.duration_s}
                there = _OF_EPOCH
            case TrainingEnd():
                values = {f"chosen/{name}": value for name, value in event.scores.items()}
                values |= {"chosen/epoch": float(event.epoch)}
                there = _OF_ALL
        if event.step > self._last.get(there, 0):
            self._waiting += _metrics(values, event)
        if not isinstance(event, Step) or len(self._waiting) >= METRICS_A_BATCH:
            self._send(_tags(event) if isinstance(event, TrainingEnd) else [])

    def _send(self, tags: list[RunTag]) -> None:
        if self._waiting or tags:
            self._client.log_batch(self._run_id, metrics=self._waiting, tags=tags)
            self._waiting = []


def _metrics(values: Mapping[str, float], event: Event) -> list[Metric]:
    time_ms = int(event.time_s * 1000)
    return [Metric(name, value, time_ms, event.step) for name, value in values.items()]


def _tags(end: TrainingEnd) -> list[RunTag]:
    tags = [RunTag(CHOSEN, f"epoch {end.epoch}, {end.reason}")]
    if end.stopped is not None:
        tags.append(RunTag(STOPPED, f"after epoch {end.epochs}: {end.stopped}"))
    return tags
