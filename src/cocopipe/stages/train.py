"""Stage train: fine-tune a torchvision detector."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric

from cocopipe.detect.network.detector import build, save
from cocopipe.detect.network.device import choose
from cocopipe.detect.training.loop import EpochEnd, Step
from cocopipe.detect.training.loop import train as fit
from cocopipe.errors import UserError
from cocopipe.files import new_directory, write_table
from cocopipe.params import Params
from cocopipe.split.tables import categories
from cocopipe.tracking.artifacts import log_dataset_files
from lineage import StageRun

METRICS_A_BATCH = 900
"""MLflow takes 1000 at once."""


def train(run: StageRun, params: Params) -> None:
    """Write ``models/detector`` and ``reports/train``; log losses as they come."""
    settings = params.train
    train_split, val_split = run.dep("train").location, run.dep("val").location
    device = choose(params.machine.device)
    mlflow.set_tags({"machine.device": str(device), "machine.workers": params.machine.workers})
    detector = build(
        settings.model,
        categories=categories(train_split),
        weights=_declared(run, settings.weights),
        image_size=settings.image_size,
        seed=settings.seed,
    )
    happened = fit(
        detector,
        train_split,
        val_split,
        settings,
        device=device,
        workers=params.machine.workers,
    )
    with new_directory(run.out("detector")) as model, new_directory(run.out("train")) as report:
        steps, epochs = _log(run, happened)
        write_table(report / "steps.csv", steps)
        write_table(report / "epochs.csv", epochs)
        save(detector, model)
    log_dataset_files([train_split, val_split], images=params.tracking.images)


def _declared(run: StageRun, weights: str) -> str:
    """Refuse a path that no dependency of the stage covers: DVC would not see it change."""
    path = Path(weights)
    # Not resolved: DVC may have put a link into its cache there.
    if path.exists() and not run.declares(path.absolute()):
        raise UserError(
            f"train.weights is {weights}, which no dependency of the train stage covers, so that a"
            " change of it would go unseen: put it into models/initial."
        )
    return weights


def _log(
    run: StageRun, happened: Iterable[Step | EpochEnd]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Send what happened to MLflow in batches; return what does not depend on the clock."""
    steps: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    waiting: list[Metric] = []
    for event in happened:
        if isinstance(event, Step):
            steps.append(
                {"epoch": event.epoch, "step": event.step}
                | event.losses
                | {"learning_rate": event.learning_rate}
            )
            values = {f"train/{name}": value for name, value in event.losses.items()}
            values |= {
                "learning_rate": event.learning_rate,
                "images_per_s": event.images_per_s,
            }
            waiting += _metrics(values, event.step)
        else:
            epochs.append(
                {"epoch": event.epoch}
                | {f"validation_{name}": value for name, value in event.losses.items()}
            )
            values = {f"validation/{name}": value for name, value in event.losses.items()}
            waiting += _metrics({**values, "epoch_s": event.duration_s}, steps[-1]["step"])
        if isinstance(event, EpochEnd) or len(waiting) >= METRICS_A_BATCH:
            run.client.log_batch(run.run_id, metrics=waiting)
            waiting = []
    return steps, epochs


def _metrics(values: Mapping[str, float], step: int) -> list[Metric]:
    now_ms = int(time.time() * 1000)
    return [Metric(name, value, now_ms, step) for name, value in values.items()]
