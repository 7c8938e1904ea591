"""What a training leaves to read: its losses and scores as tables, and what was chosen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocopipe.detect.training.average_precision import AP, AP50
from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.files import write_json, write_table


@dataclass(frozen=True)
class Course:
    """A training, in short."""

    epochs: list[EpochEnd]
    """The ends of its epochs."""
    end: TrainingEnd


def write_course(events: Iterable[Event], report: Path) -> Course:
    """Write of what happens all that no clock decides.

    ``steps.csv`` and ``epochs.csv`` have losses, ``average_precision.csv`` the epochs that were
    scored, ``chosen.json`` whose weights were taken.

    Args:
        events: Taken to their end, one by one as they come.
        report: A folder that exists.
    """
    steps: list[dict[str, Any]] = []
    epochs: list[EpochEnd] = []
    for event in events:
        match event:
            case Step():
                place = {"epoch": event.epoch, "step": event.step}
                steps.append({**place, **event.losses, "learning_rate": event.learning_rate})
            case EpochEnd():
                epochs.append(event)
            case TrainingEnd():
                end = event
    write_table(report / "steps.csv", steps)
    write_table(report / "epochs.csv", [_losses(each) for each in epochs])
    scored = [{"epoch": each.epoch, **each.scores} for each in epochs if each.scores]
    if scored:
        write_table(report / "average_precision.csv", scored)
    else:
        (report / "average_precision.csv").write_text(f"epoch,{AP},{AP50}\n", encoding="utf-8")
    write_json(report / "chosen.json", _chosen(end))
    return Course(epochs, end)


def _losses(end: EpochEnd) -> dict[str, Any]:
    losses: Mapping[str, float | None] = end.losses or {"loss": None}
    return {"epoch": end.epoch} | {f"validation_{name}": value for name, value in losses.items()}


def _chosen(end: TrainingEnd) -> dict[str, Any]:
    return {
        "epoch": end.epoch,
        "reason": end.reason,
        AP: end.scores.get(AP),
        AP50: end.scores.get(AP50),
        "epochs": end.epochs,
        "stopped": end.stopped,
    }
