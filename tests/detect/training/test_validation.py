from pathlib import Path

import pytest
import torch

from cocopipe.detect.reading.loading import loader
from cocopipe.detect.reading.order import in_order
from cocopipe.detect.training.validation import Validation, validate
from tests.detect.small import CPU, TRAINING, detections, new_detector


@pytest.mark.parametrize("architecture", ["fcos_tiny", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_validation_changes_nothing_and_repeats_itself(split: Path, architecture: str) -> None:
    detector = new_detector(architecture, image_size=64)
    dataset = detections(split, labels=detector.config.labels)
    source = loader(dataset, in_order(range(len(dataset))), batch_size=3, workers=0, device=CPU)
    module = detector.module.eval()
    before = {name: part.clone() for name, part in module.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    losses = validate(module, source, seed=3, device=CPU)
    assert torch.rand(1) == expected
    assert validate(module, source, seed=3, device=CPU) == losses
    assert not module.training
    assert all(torch.equal(part, before[name]) for name, part in module.state_dict().items())
    assert all(part.grad is None for part in module.parameters())


@pytest.mark.parametrize("architecture", ["fcos_tiny", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_to_predict_changes_nothing_and_repeats_itself(split: Path, architecture: str) -> None:
    detector = new_detector(architecture, image_size=64)
    validation = Validation(detector.config, split, TRAINING, device=CPU, workers=0)
    module = detector.module
    before = {name: part.clone() for name, part in module.state_dict().items()}
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    scores = validation.scores(module)
    assert torch.rand(1) == expected
    assert validation.scores(module) == scores
    assert set(scores) == {"AP", "AP50"}
    assert all(torch.equal(part, before[name]) for name, part in module.state_dict().items())
