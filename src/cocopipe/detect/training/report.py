"""What a training leaves to read: its losses as tables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cocopipe.detect.training.events import EpochEnd, Event, Step
from cocopipe.files import write_table


def write_losses(events: Iterable[Event], report: Path) -> list[EpochEnd]:
    """Write ``steps.csv`` and ``epochs.csv``: of what happens, all that no clock decides.

    Args:
        events: Taken to their end, one by one as they come.
        report: A folder that exists.

    Returns:
        The ends of the epochs.
    """
    steps: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    ends: list[EpochEnd] = []
    for event in events:
        if isinstance(event, Step):
            place = {"epoch": event.epoch, "step": event.step}
            steps.append({**place, **event.losses, "learning_rate": event.learning_rate})
        else:
            losses = {f"validation_{name}": value for name, value in event.losses.items()}
            epochs.append({"epoch": event.epoch} | losses)
            ends.append(event)
    write_table(report / "steps.csv", steps)
    write_table(report / "epochs.csv", epochs)
    return ends
