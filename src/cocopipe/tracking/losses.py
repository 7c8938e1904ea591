"""The losses of a training in MLflow, while it goes on."""

import time
from collections.abc import Iterable, Iterator, Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric

from cocopipe.detect.training.loop import EpochEnd, Step

METRICS_A_BATCH = 900
"""MLflow takes 1000 at once."""


def log_losses(
    client: MlflowClient, run_id: str, events: Iterable[Step | EpochEnd]
) -> Iterator[Step | EpochEnd]:
    """Yield events as they come, and send their metrics in batches, the last with each epoch.

    Metrics are ``train/…``, ``learning_rate`` and ``images_per_s`` of a step, ``validation/…``
    and ``epoch_s`` of an epoch, which has the number of its last step.
    """
    waiting: list[Metric] = []
    step = 0
    for event in events:
        if isinstance(event, Step):
            step = event.step
            values = {f"train/{name}": value for name, value in event.losses.items()}
            values |= {"learning_rate": event.learning_rate, "images_per_s": event.images_per_s}
        else:
            values = {f"validation/{name}": value for name, value in event.losses.items()}
            values |= {"epoch_s": event.duration_s}
        waiting += _metrics(values, step)
        if isinstance(event, EpochEnd) or len(waiting) >= METRICS_A_BATCH:
            client.log_batch(run_id, metrics=waiting)
            waiting = []
        yield event


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now_ms = int(time.time() * 1000)
    return [Metric(name, value, now_ms, step) for name, value in values.items()]
