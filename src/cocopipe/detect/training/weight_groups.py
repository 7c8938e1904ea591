"""The weights that are trained, by how fast they learn."""

from typing import Any

from torch import nn

from cocopipe.detect.settings import Optimizer

FACTOR = "factor"
"""The key of a group that says by what its learning rate is that of the schedule."""


def groups(module: nn.Module, settings: Optimizer) -> list[dict[str, Any]]:
    """Return the weights that are trained, as groups for torch's optimizers.

    The backbone is a group of its own where it learns at another rate than the rest: the network
    that looked at pictures before there was a detector, without the pyramid on top of it.
    """
    trained = [(name, each) for name, each in module.named_parameters() if each.requires_grad]
    if settings.backbone_rate == 1:
        return [{"params": [each for _, each in trained], FACTOR: 1.0}]
    is_pyramid = any(name.startswith("backbone.body.") for name, _ in module.named_parameters())
    begin = "backbone.body." if is_pyramid else "backbone."
    of_backbone = [each for name, each in trained if name.startswith(begin)]
    others = [each for name, each in trained if not name.startswith(begin)]
    parts = [(others, 1.0), (of_backbone, settings.backbone_rate)]
    return [{"params": weights, FACTOR: factor} for weights, factor in parts if weights]
