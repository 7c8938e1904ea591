"""A detector's losses as numbers."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from cocopipe.errors import UserError


def with_sum(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the sum of all parts as ``loss``."""
    return {**losses, "loss": torch.stack(list(losses.values())).sum()}


def floats(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Bring losses to the CPU, all at once: each trip waits for the GPU."""
    values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
    return dict(zip(losses, values, strict=True))


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
