"""A detector's losses as numbers, brought from the GPU in groups: each trip waits for it."""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cocopipe.detect.training.events import Step
from cocopipe.errors import UserError

FETCH_S = {"cpu": 0.0, "cuda": 1.0}
"""Seconds from one trip to the next, by the kind of device; on the CPU nothing is fetched."""


def with_sum(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the sum of all parts as ``loss``."""
    return {**losses, "loss": torch.stack(list(losses.values())).sum()}


def in_one(losses: Mapping[str, Tensor]) -> Tensor:
    """Return losses as float32 [parts], where they are."""
    return torch.stack([loss.detach().float() for loss in losses.values()])


@dataclass(frozen=True)
class _Done:
    """A step, before its losses are known."""

    epoch: int
    step: int
    names: tuple[str, ...]
    losses: Tensor
    learning_rate: float
    images: int
    time_s: float


class Steps:
    """The steps of an epoch whose losses are still where they were computed."""

    def __init__(self, device: torch.device) -> None:
        """Begin with none."""
        self._every_s = FETCH_S[device.type]
        self._done: list[_Done] = []
        self._started = time.perf_counter()

    @property
    def are_due(self) -> bool:
        """Whether it is time to fetch them."""
        return time.perf_counter() - self._started >= self._every_s

    def add(
        self, epoch: int, step: int, losses: Mapping[str, Tensor], *, rate: float, images: int
    ) -> None:
        """Add one that was done."""
        row = in_one(losses)
        self._done.append(_Done(epoch, step, tuple(losses), row, rate, images, time.time()))

    def fetched(self) -> Iterator[Step]:
        """Yield them, oldest first, and go on with none.

        Raises:
            UserError: a loss is not finite.
        """
        done, self._done = self._done, []
        if done:
            rows = torch.stack([each.losses for each in done]).tolist()
            images = sum(each.images for each in done)
            speed = images / (time.perf_counter() - self._started)
            for each, row in zip(done, rows, strict=True):
                losses = dict(zip(each.names, row, strict=True))
                check_finite(losses, each.step, each.learning_rate)
                yield Step(each.epoch, each.step, losses, each.learning_rate, speed, each.time_s)
        self._started = time.perf_counter()


def check_finite(losses: Mapping[str, float], step: int, rate: float) -> None:
    """Refuse losses that are not finite.

    Raises:
        UserError: some are not.
    """
    if not all(map(math.isfinite, losses.values())):
        parts = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        raise UserError(
            f"the loss is not finite at step {step} with learning rate {rate:g} ({parts}): "
            "lower learning_rate, or set gradient_clip"
        )
