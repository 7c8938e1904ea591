from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cocopipe.detect.network.parts import Part
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.multi_scale import at_sizes, check_sizes
from cocopipe.detect.training.team import Resources
from cocopipe.errors import UserError
from tests.detect.small import CPU, TRAINING, UNCHANGED, new_detector, tiny

IMAGES = [torch.zeros(3, 50, 60), torch.zeros(3, 60, 50)]


def seen(module: torch.nn.Module) -> set[int]:
    """The shorter sides that images are brought to."""
    found = set()
    for _ in range(20):
        batch, _ = module.transform(IMAGES)
        found |= {min(size) for size in batch.image_sizes}
    return found


def test_each_image_has_a_size_of_its_own_while_it_learns() -> None:
    module = tiny(Part.MASK).module.train()
    torch.manual_seed(0)
    assert seen(module) == {64}
    with at_sizes(module, [32, 48, 96]):
        assert seen(module) == {32, 48, 96}
    assert seen(module) == {64}
    for nothing in (None, []):
        with at_sizes(module, nothing):
            assert seen(module) == {64}


def test_a_training_sees_the_sizes_and_its_validation_the_own(
    split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = new_detector(image_size=64)
    settings = replace(TRAINING, epochs=3, augment=replace(UNCHANGED, multi_scale=[32, 48, 96]))
    sizes: list[tuple[bool, int]] = []
    transform: Any = detector.module.transform
    resize = transform.resize

    def noted(image: torch.Tensor, target: Any) -> Any:
        resized, changed = resize(image, target)
        sizes.append((torch.is_grad_enabled(), min(resized.shape[1:])))
        return resized, changed

    monkeypatch.setattr(transform, "resize", noted)
    for _ in train(detector, split, split, settings, Resources(CPU)):
        pass
    assert {size for learns, size in sizes if learns} == {32, 48, 96}
    assert {size for learns, size in sizes if not learns} == {64}


def test_a_detector_of_a_fixed_size_takes_no_others() -> None:
    check_sizes(new_detector("ssdlite320_mobilenet_v3_large"), None)
    check_sizes(tiny(Part.MASK), [64])
    with pytest.raises(UserError, match=r"multi_scale is \[64, 96\], but model 'ssdlite320"):
        check_sizes(new_detector("ssdlite320_mobilenet_v3_large"), [64, 96])
