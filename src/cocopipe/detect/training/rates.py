"""The learning rate of each step."""

import math

from cocopipe.detect.settings import Schedule


def learning_rate_at(step: int, steps: int, *, peak: float, schedule: Schedule) -> float:
    """Return the learning rate of a step.

    Args:
        step: From 0.
        steps: How many there are.
        peak: The highest learning rate.
        schedule: Its name says how. ``one_cycle``: from ``peak`` / 25 up and down to almost 0,
            both as half a cosine (https://arxiv.org/abs/1708.07120, without its momentum);
            ``cosine``: after the warmup, half a cosine down to 0; ``step``: a tenth after 60 %
            of the steps and a hundredth after 85 %; ``constant``. The last three warm up
            linearly.
    """
    rising = round(schedule.warmup_fraction * steps)
    if step < rising:
        risen = (step + 1) / rising
        if schedule.name == "one_cycle":
            return peak * (0.04 + 0.96 * _half_cosine(1 - risen))
        return peak * risen
    match schedule.name:
        case "one_cycle" | "cosine":
            return peak * _half_cosine((step - rising) / max(1, steps - rising))
        case "step":
            return peak * 0.1 ** ((step >= 0.6 * steps) + (step >= 0.85 * steps))
        case "constant":
            return peak


def _half_cosine(done: float) -> float:
    """Fall smoothly from 1 to 0 while ``done`` rises from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2
