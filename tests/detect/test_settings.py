"""Settings of a training can't be made of what it couldn't take."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from pydantic import ValidationError

from tests.detect.small import ADAMW, ONE_CYCLE, TRAINING, UNCHANGED


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        (UNCHANGED, {"flip": 0.5}, "flip\n  Unexpected keyword argument"),
        (UNCHANGED, {"horizontal_flip": 1.5}, "should be less than or equal to 1"),
        (UNCHANGED, {"crop": "often"}, "crop\n  Input should be a valid number"),
        (UNCHANGED, {"scale": [2, 1]}, "the first must not be larger than the second"),
        (UNCHANGED, {"scale": 0.5}, "scale.*\n  Input should be a valid list"),
        (UNCHANGED, {"scale": [0, 1]}, "scale.*\n  Input should be greater than 0"),
        (UNCHANGED, {"multi_scale": []}, "multi_scale.*\n  List should have at least 1 item"),
        (
            UNCHANGED,
            {"multi_scale": [31]},
            "multi_scale.*\n  Input should be greater than or equal",
        ),
        (UNCHANGED, {"multi_scale": 640}, "multi_scale.*\n  Input should be a valid list"),
        (ADAMW, {"backbone_rate": 0}, "backbone_rate\n  Input should be greater than 0"),
        (
            TRAINING,
            {"trainable_layers": 7},
            "trainable_layers\n  Input should be less than or equal",
        ),
        (TRAINING, {"trainable_layers": -1}, "trainable_layers\n  Input should be greater than or"),
        (ADAMW, {"name": "lion"}, "name\n  Input should be 'adamw' or 'sgd'"),
        (ONE_CYCLE, {"name": "poly"}, "name\n  Input should be 'one_cycle', 'cosine', "),
        (TRAINING, {"gradient_clip": float("inf")}, "gradient_clip\n  Input should be a finite"),
        (TRAINING, {"eval_epochs": 0}, "eval_epochs\n  Input should be greater than or equal to 1"),
        (TRAINING, {"select": "first"}, "select\n  Input should be 'best' or 'last'"),
        (TRAINING, {"patience": 0}, "patience\n  Input should be greater than or equal to 1"),
        (TRAINING, {"patience": 1.5}, "patience\n  Input should be a valid integer"),
        (TRAINING, {"ema": 0.0}, "ema\n  Input should be greater than 0"),
        (TRAINING, {"ema": 1.0}, "ema\n  Input should be less than 1"),
        (TRAINING, {"epochs": "2"}, "epochs\n  Input should be a valid integer"),
    ],
)
def test_what_is_out_of_range_is_refused(
    settings: Any, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        replace(settings, **change)


def test_what_is_made_does_not_change() -> None:
    for settings in (TRAINING, TRAINING.optimizer, TRAINING.schedule, TRAINING.augment):
        with pytest.raises(FrozenInstanceError):
            settings.name = "other"  # type: ignore[union-attr]
