"""The layers that learn are those that torchvision would let learn."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models._api import WeightsEnum

from cocopipe.detect.network.detector import Detector
from cocopipe.detect.training.frozen import train_layers
from cocopipe.errors import UserError
from tests.detect.small import ModelConfig, new_detector


def learning(module: nn.Module) -> set[str]:
    return {name for name, weight in module.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(
    ("architecture", "most"),
    [
        ("fasterrcnn_resnet50_fpn_v2", 5),
        ("retinanet_resnet50_fpn", 5),
        ("fasterrcnn_mobilenet_v3_large_fpn", 6),
        ("ssdlite320_mobilenet_v3_large", 6),
        ("ssd300_vgg16", 5),
    ],
)
def test_layers_are_counted_as_by_torchvision(
    architecture: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which layers learn does not depend on the weights; none are downloaded, nor any made.
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: {})
    monkeypatch.setattr(nn.Module, "load_state_dict", lambda *_, **__: None)
    kept: list[set[str]] = []
    with torch.device("meta"):
        ours = models.get_model(architecture, weights="DEFAULT")
        detector = Detector(ours, config(architecture))
        for layers in range(most + 1):
            theirs = models.get_model(
                architecture, weights="DEFAULT", trainable_backbone_layers=layers
            )
            train_layers(detector, layers, "DEFAULT")
            assert learning(ours) == learning(theirs)
            kept.append(learning(ours))
    assert all(one < other for one, other in pairwise(kept))
    with pytest.raises(UserError, match=f"has {most} layers that can be kept: use 0 to {most}"):
        train_layers(detector, most + 1, "DEFAULT")


def config(architecture: str) -> ModelConfig:
    values: dict[str, Any] = {"min_size": 64, "max_size": 128, "num_classes": 91}
    return ModelConfig(architecture, **values, frozen_norm_eps=None, categories=())


def test_empty_leaves_all_as_it_was() -> None:
    detector = new_detector(image_size=64)
    before = learning(detector.module)
    train_layers(detector, None, "none")
    assert learning(detector.module) == before


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ("none", "train.trainable_layers is 2, but train.weights is none, and random weights"),
        ("models/initial", "the backbone of fcos_tiny is small and learns as a whole"),
    ],
)
def test_where_there_is_nothing_to_keep_it_is_refused(weights: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        train_layers(new_detector(image_size=64), 2, weights)
