"""What happens while a detector learns."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """What one step of the optimizer did."""

    epoch: int
    """The number of the epoch, from 1."""
    step: int
    """The number of the step, from 1, over all epochs."""
    losses: Mapping[str, float]
    """The parts that torchvision's detector gives, and their sum as ``loss``."""
    learning_rate: float
    images_per_s: float
    time_s: float
    """When it ended, seconds since 1970."""


@dataclass(frozen=True)
class EpochEnd:
    """What an epoch came to."""

    epoch: int
    """The number of the epoch, from 1."""
    step: int
    """The number of its last step."""
    losses: Mapping[str, float]
    """Means over the validation images: the parts, and their sum as ``loss``."""
    duration_s: float
    """Seconds of training and validation, without those that a stop took."""
    time_s: float
    """When it ended, seconds since 1970."""


Event = Step | EpochEnd
