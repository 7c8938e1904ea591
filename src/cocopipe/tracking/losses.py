"""The losses of a training in MLflow, while it goes on."""

import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric

from cocopipe.detect.training.loop import EpochEnd, Step

METRICS_A_BATCH = 900
"""MLflow takes 1000 at once."""


class LossLog:
    """Sends what a training yields to a run, metrics in batches, the last with each epoch.

    Metrics are ``train/…``, ``learning_rate`` and ``images_per_s`` of a step, ``validation/…``
    and ``epoch_s`` of an epoch, which has the number of its last step.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Metric] = []
        self._step = 0

    def take(self, event: Step | EpochEnd) -> None:
        """Send the metrics of an event, or keep them for the next batch."""
        if isinstance(event, Step):
            self._step = event.step
            values = {f"train/{name}": value for name, value in event.losses.items()}
            values |= {"learning_rate": event.learning_rate, "images_per_s": event.images_per_s}
        else:
            values = {f"validation/{name}": value for name, value in event.losses.items()}
            values |= {"epoch_s": event.duration_s}
        self._waiting += _metrics(values, self._step)
        if isinstance(event, EpochEnd) or len(self._waiting) >= METRICS_A_BATCH:
            self._client.log_batch(self._run_id, metrics=self._waiting)
            self._waiting = []


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now_ms = int(time.time() * 1000)
    return [Metric(name, value, now_ms, step) for name, value in values.items()]
