"""Which layers of a backbone learn, counted from its end as torchvision counts them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from torch import nn

from cocopipe.detect.network.detector import Detector
from cocopipe.errors import UserError


def train_layers(detector: Detector, layers: int | None, weights: str) -> None:
    """Let the last so many layers of the backbone learn, and those before keep their weights.

    Args:
        detector: From `build`; changed in place.
        layers: As torchvision's ``trainable_backbone_layers``. None leaves all as built: three of
            torchvision's published weights, mostly, and else everything learns.
        weights: What the detector began with.

    Raises:
        UserError: it has fewer layers, or began with random weights, of which none is worth
            keeping.
    """
    if layers is None:
        return
    name = detector.config.architecture
    if weights == "none":
        raise UserError(
            f"train.trainable_layers is {layers}, but train.weights is none, and random weights are"
            " not worth keeping: leave it empty, or begin with weights"
        )
    stages = [*_stages(detector.module.backbone)]
    if not stages:
        raise UserError(
            f"train.trainable_layers is {layers}, but the backbone of {name} is small and learns as"
            " a whole: leave it empty"
        )
    if layers > len(stages):
        raise UserError(
            f"train.trainable_layers is {layers}, but the backbone of {name} has {len(stages)}"
            f" layers that can be kept: use 0 to {len(stages)}, or leave it empty"
        )
    for number, stage in enumerate(stages):
        for part in stage:
            part.requires_grad_(number >= len(stages) - layers)


def _stages(backbone: Any) -> Iterator[list[nn.Module]]:
    """Yield what torchvision counts as layers of a backbone, from the image on."""
    body: Any = getattr(backbone, "body", None)
    if hasattr(body, "layer4"):  # ResNet
        yield [body.conv1, body.bn1]
        yield from ([body.get_submodule(f"layer{number}")] for number in (1, 2, 3, 4))
    elif hasattr(backbone, "scale_weight"):  # the VGG of SSD, which adds its own after the last
        blocks = [*backbone.features, *list(backbone.extra[0])[:-1]]
        starts = [place for place, block in enumerate(blocks) if isinstance(block, nn.MaxPool2d)]
        yield from _cut([[block] for block in blocks], starts)
    elif hasattr(backbone, "features"):  # the MobileNet of SSDlite, one of its blocks in two
        first, second = map(list, backbone.features)
        halves = [first[-1], second[0]]
        blocks = [*([block] for block in first[:-1]), halves, *([block] for block in second[1:])]
        starts = [*_strided(first[:-1]), len(first) - 1, len(blocks) - 1]
        yield from _cut(blocks, starts)
    elif body is not None and _strided(body.children()):  # MobileNet
        blocks = [[block] for block in body.children()]
        yield from _cut(blocks, [*_strided(body.children()), len(blocks) - 1])


def _cut(blocks: Sequence[list[nn.Module]], starts: Sequence[int]) -> Iterator[list[nn.Module]]:
    """Put blocks together to layers, of which the second and later begin at ``starts``."""
    for start, end in pairwise([0, *starts, len(blocks)]):
        yield [part for block in blocks[start:end] for part in block]


def _strided(blocks: Iterable[nn.Module]) -> list[int]:
    """Return the places of the blocks that halve the image, with which a layer begins."""
    return [place for place, block in enumerate(blocks) if getattr(block, "_is_cn", False)]
