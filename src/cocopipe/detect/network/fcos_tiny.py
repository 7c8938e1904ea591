"""A detector of 1.5 million parameters that a CPU trains in a minute or two."""

from collections import OrderedDict

from torch import nn
from torchvision.models.detection import FCOS
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.fcos import FCOSHead
from torchvision.ops import Conv2dNormActivation

STAGES = (16, 32, 64, 128, 256)
"""Channels of the five stages; each halves the resolution."""
STRIDES = (8, 16, 32, 64)
"""Pixels per position of the levels that the head looks at."""
PYRAMID = 64


def fcos_tiny(*, num_classes: int, min_size: int = 128, max_size: int = 213) -> FCOS:
    """Build a small FCOS (https://arxiv.org/abs/2006.09214) with random weights.

    Only classes of torch and torchvision, so that a pickle of the module opens in a
    process without this project.

    Args:
        num_classes: Classes, background included.
        min_size: Pixels of an image's shorter side as the network sees it.
        max_size: Upper limit of its longer side, pixels.
    """
    body = nn.Sequential()
    channels = 3
    for number, width in enumerate(STAGES):
        body.add_module(
            str(number),
            nn.Sequential(
                Conv2dNormActivation(channels, width, stride=2),
                Conv2dNormActivation(width, width),
            ),
        )
        channels = width
    backbone = BackboneWithFPN(
        body,
        return_layers=OrderedDict({"2": "0", "3": "1", "4": "2"}),
        in_channels_list=list(STAGES[2:]),
        out_channels=PYRAMID,
    )
    return FCOS(
        backbone,
        num_classes,
        min_size=min_size,
        max_size=max_size,
        anchor_generator=AnchorGenerator(
            sizes=tuple((stride,) for stride in STRIDES), aspect_ratios=((1.0,),) * len(STRIDES)
        ),
        head=FCOSHead(PYRAMID, num_anchors=1, num_classes=num_classes, num_convs=2),
    )
