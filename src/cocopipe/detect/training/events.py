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
    """Means over the validation images: the parts, and their sum as ``loss``; empty without any."""
    scores: Mapping[str, float]
    """Of the validation images, ``AP`` and ``AP50``; empty where they were not asked for, or are
    not defined."""
    duration_s: float
    """Seconds of training and validation, without those that a stop took."""
    validation_s: float
    """Those of them that validation took."""
    time_s: float
    """When it ended, seconds since 1970."""


@dataclass(frozen=True)
class TrainingEnd:
    """What a training came to: which epoch's weights the detector has now, and why."""

    epoch: int
    """The number of that epoch."""
    reason: str
    """Why this one."""
    scores: Mapping[str, float]
    """Those of that epoch; empty where there are none."""
    epochs: int
    """How many were done."""
    step: int
    """The number of the last step."""
    stopped: str | None
    """Why these were fewer than the settings say; None where they were not."""
    time_s: float
    """When it ended, seconds since 1970."""


Event = Step | EpochEnd | TrainingEnd
