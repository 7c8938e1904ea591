"""What a training goes on from when it was stopped: its state, and what had happened."""

import json
import logging
import os
import pickle
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cocopipe.detect.training.events import EpochEnd, Event, Step
from cocopipe.detect.training.learner import Learner
from cocopipe.files import PARTIAL, new_file

KEPT = 2
"""Checkpoints that are kept: the last may be one that the disk lost."""

MOST_COST = 0.01
"""Share of the time that checkpoints may take."""

_EVENTS = "events.jsonl"
_STATES = "state-*.pt"

_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one training, in a folder of their own.

    Each is a file with the state of the learner, written as a whole or not at all. What happened
    lies beside them, a line an event, as it happened.
    """

    def __init__(self, folder: Path, every_s: float) -> None:
        """Go on from what is in a folder, which exists.

        Args:
            folder: For this training alone.
            every_s: Seconds from one to the next, at least; more where they take long.
        """
        self._folder = folder
        self._every_s = every_s
        self._last = time.perf_counter()
        self._cost_s = 0.0
        self._events = 0

    def resume(self, learner: Learner) -> Iterator[Event]:
        """Bring a learner to where the last checkpoint was; yield what had happened until then."""
        for unfinished in self._folder.glob(f"*{PARTIAL}"):
            unfinished.unlink()
        state = self._newest()
        if state is None:
            (self._folder / _EVENTS).unlink(missing_ok=True)
            return
        learner.restore(state["learner"])
        lines = (self._folder / _EVENTS).read_text(encoding="utf-8").splitlines()
        lines = lines[: state["events"]]
        with new_file(self._folder / _EVENTS) as partial:
            partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._events = len(lines)
        _log.warning("goes on after step %d, where it was stopped", learner.step)
        yield from map(_event, lines)

    def note(self, event: Event) -> None:
        """Write down what happened."""
        with (self._folder / _EVENTS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(event)) + "\n")
        self._events += 1

    @property
    def is_due(self) -> bool:
        """Whether it is time for the next."""
        since = time.perf_counter() - self._last
        return since >= max(self._every_s, self._cost_s / MOST_COST)

    def save(self, learner: Learner) -> None:
        """Write the state of a learner, and leave out all but the last of those before."""
        started = time.perf_counter()
        path = self._folder / f"state-{learner.step:012}-{learner.epochs:06}.pt"
        with (self._folder / _EVENTS).open("a") as events:
            os.fsync(events.fileno())
        with new_file(path) as partial, partial.open("wb") as file:
            torch.save({"learner": learner.state(), "events": self._events}, file)
            file.flush()
            os.fsync(file.fileno())
        for old in sorted(self._folder.glob(_STATES))[:-KEPT]:
            old.unlink()
        self._last = time.perf_counter()
        self._cost_s = self._last - started

    def _newest(self) -> Mapping[str, Any] | None:
        for path in sorted(self._folder.glob(_STATES), reverse=True):
            try:
                state: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
                _log.warning("the checkpoint %s cannot be read (%s): left out", path, error)
                path.unlink()
            else:
                return state
        return None


def _event(line: str) -> Event:
    values = json.loads(line)
    return Step(**values) if "learning_rate" in values else EpochEnd(**values)
