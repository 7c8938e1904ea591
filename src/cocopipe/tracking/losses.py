"""The losses of a training in MLflow, while it goes on."""

from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric

from cocopipe.detect.training.events import Event, Step

METRICS_A_BATCH = 900
"""MLflow takes 1000 at once."""

_OF_STEP, _OF_EPOCH = "train/loss", "validation/loss"
"""Metrics that every step and every epoch has."""


class LossLog:
    """Sends what a training yields to a run, metrics in batches, the last with each epoch.

    Metrics are ``train/…``, ``learning_rate`` and ``images_per_s`` of a step, ``validation/…``
    and ``epoch_s`` of an epoch, which has the number of its last step. What the run has already,
    from before the training was stopped, is not sent again.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        there = client.get_run(run_id).data.to_proto().metrics
        self._last = {metric.key: metric.step for metric in there}

    def take(self, event: Event) -> None:
        """Send the metrics of an event, or keep them for the next batch."""
        if isinstance(event, Step):
            values = {f"train/{name}": value for name, value in event.losses.items()}
            values |= {"learning_rate": event.learning_rate, "images_per_s": event.images_per_s}
            last = self._last.get(_OF_STEP, 0)
        else:
            values = {f"validation/{name}": value for name, value in event.losses.items()}
            values |= {"epoch_s": event.duration_s}
            last = self._last.get(_OF_EPOCH, 0)
        if event.step > last:
            self._waiting += _metrics(values, event)
        if not isinstance(event, Step) or len(self._waiting) >= METRICS_A_BATCH:
            self._send()

    def _send(self) -> None:
        if self._waiting:
            self._client.log_batch(self._run_id, metrics=self._waiting)
            self._waiting = []


def _metrics(values: Mapping[str, float], event: Event) -> list[Metric]:
    time_ms = int(event.time_s * 1000)
    return [Metric(name, value, time_ms, event.step) for name, value in values.items()]
