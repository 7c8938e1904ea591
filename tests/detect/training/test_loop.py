import itertools
import logging
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from cocopipe.detect.network.detector import Detector
from cocopipe.detect.reading.loading import loader
from cocopipe.detect.reading.order import in_order
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Optimizer, Schedule, Training
from cocopipe.detect.training.events import EpochEnd, Event, Step
from cocopipe.detect.training.loop import train, validate
from cocopipe.errors import UserError
from tests.detect.small import (
    ADAMW,
    CONSTANT,
    CPU,
    TRAINING,
    UNCHANGED,
    detections,
    new_detector,
    written,
)
from tests.detect.splits import rectangles, write_split


def run(
    detector: Detector, split: Path, settings: Training = TRAINING, *, workers: int = 0
) -> Iterator[Event]:
    return train(detector, split, split, settings, device=CPU, workers=workers)


def test_it_yields_every_step_and_epoch(split: Path) -> None:
    events = list(run(new_detector(image_size=64), split))
    assert [type(event).__name__ for event in events] == (["Step"] * 3 + ["EpochEnd"]) * 2
    steps = [event for event in events if isinstance(event, Step)]
    assert [(event.epoch, event.step) for event in steps] == [
        *((1, step) for step in (1, 2, 3)),
        *((2, step) for step in (4, 5, 6)),
    ]
    parts = {"classification", "bbox_regression", "bbox_ctrness"}
    for event in events:
        assert set(event.losses) == {*parts, "loss"}
        assert event.losses["loss"] == pytest.approx(sum(event.losses[part] for part in parts))
    assert max(event.learning_rate for event in steps) == 0.002
    assert all(event.images_per_s > 0 for event in steps)


@pytest.mark.usefixtures("two_threads")
def test_the_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    split: Path, tmp_path: Path
) -> None:
    saved = []
    other = replace(TRAINING, seed=1)
    for number, (settings, workers) in enumerate(
        [(TRAINING, 0), (TRAINING, 0), (TRAINING, 2), (other, 0)]
    ):
        torch.manual_seed(number)
        detector = new_detector(image_size=64)
        losses = [event.losses for event in run(detector, split, settings, workers=workers)]
        saved.append((written(detector, tmp_path / str(number))[0], losses))
    assert saved[0] == saved[1] == saved[2]
    assert saved[0] != saved[3]


def test_an_interrupt_while_workers_end_is_not_lost(
    split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to a finalizer, it would be: Python prints what is raised there, and goes on."""
    end = _MultiProcessingDataLoaderIter._shutdown_workers

    def interrupted(workers: _MultiProcessingDataLoaderIter) -> None:
        if not workers._shutdown:
            os.kill(os.getpid(), signal.SIGINT)
        end(workers)

    monkeypatch.setattr(_MultiProcessingDataLoaderIter, "_shutdown_workers", interrupted)
    settings = replace(TRAINING, epochs=1)
    with pytest.raises(KeyboardInterrupt):
        list(run(new_detector(image_size=64), split, settings, workers=1))


@pytest.mark.parametrize(("batch_size", "warns"), [(8, False), (9, True)])
def test_more_images_a_step_than_there_are_is_a_warning(
    split: Path, caplog: pytest.LogCaptureFixture, batch_size: int, warns: bool
) -> None:
    with caplog.at_level(logging.WARNING):
        next(run(new_detector(image_size=64), split, replace(TRAINING, batch_size=batch_size)))
    said = (
        f"batch_size is 9, but {split} holds 8 images: an epoch is a single step with all of them;"
        " lower batch_size for more"
    )
    assert [record.getMessage() for record in caplog.records] == ([said] if warns else [])


def test_the_loss_falls(split: Path) -> None:
    settings = replace(TRAINING, epochs=6, augment=UNCHANGED, batch_size=4)
    ends = [
        event.losses["loss"]
        for event in run(new_detector(image_size=64), split, settings)
        if isinstance(event, EpochEnd)
    ]
    assert ends[-1] < 0.8 * ends[0]


def test_each_epoch_seeds_torchs_generator(split: Path) -> None:
    for event in run(new_detector(image_size=64), split):
        if isinstance(event, Step):
            assert torch.initial_seed() == derive(TRAINING.seed, "train", event.epoch)


def test_each_step_has_its_own_images_and_gradients(split: Path) -> None:
    """Seen with weights that as good as don't change, so that nothing else can differ."""
    still = replace(ADAMW, learning_rate=1e-12)
    settings = replace(TRAINING, optimizer=still, augment=UNCHANGED, gradient_clip=None)

    def gradient(detector: Detector) -> float:
        parts = [part.grad for part in detector.module.parameters() if part.grad is not None]
        return nn.utils.get_total_norm(parts).item()

    detector = new_detector(image_size=64)
    steps = [each for each in run(detector, split, settings) if isinstance(each, Step)]
    first, second = steps[:3], steps[3:]
    assert [each.losses for each in first] != [each.losses for each in second]

    everything = run(detector, split, replace(settings, batch_size=8))
    next(everything)
    before = gradient(detector)
    next(each for each in everything if isinstance(each, Step))
    assert gradient(detector) == pytest.approx(before, rel=1e-3)


def test_sgd_takes_plain_gradient_steps(split: Path) -> None:
    detector = new_detector(image_size=64)
    sgd = Optimizer(name="sgd", learning_rate=0.1, weight_decay=0, momentum=0)
    schedule = Schedule(name="constant", warmup_fraction=1)
    settings = replace(TRAINING, optimizer=sgd, schedule=schedule, gradient_clip=None)
    events = run(detector, split, settings)
    for rate in (0.1 / 6, 0.2 / 6):
        before = {name: part.clone() for name, part in detector.module.named_parameters()}
        next(events)
        for name, part in detector.module.named_parameters():
            assert part.grad is not None
            assert torch.allclose(part, before[name] - rate * part.grad, atol=1e-6)
    events.close()  # type: ignore[attr-defined]


def test_gradients_are_clipped(split: Path) -> None:
    detector = new_detector(image_size=64)
    next(run(detector, split, replace(TRAINING, gradient_clip=0.01)))
    gradients = [part.grad for part in detector.module.parameters() if part.grad is not None]
    assert nn.utils.get_total_norm(gradients).item() == pytest.approx(0.01, rel=1e-3)


def test_a_remainder_of_one_image_is_a_step_too(odd_split: Path) -> None:
    detector = new_detector("ssdlite320_mobilenet_v3_large")
    alone = [part for part in detector.module.modules() if isinstance(part, nn.BatchNorm2d)][-1]
    before = alone.weight.clone()
    settings = replace(TRAINING, batch_size=2, epochs=1, schedule=CONSTANT, augment=UNCHANGED)
    events = run(detector, odd_split, settings)  # of three images
    next(events)
    assert alone.num_batches_tracked == 1
    next(events)
    assert alone.num_batches_tracked == 1, "one value has no statistics"
    assert alone.weight.grad is not None
    assert not torch.equal(alone.weight, before)


def test_one_image_a_step_has_statistics_where_its_maps_are_large(split: Path) -> None:
    detector = new_detector(image_size=64)
    next(run(detector, split, replace(TRAINING, batch_size=1)))
    norms = [part for part in detector.module.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    assert all(norm.num_batches_tracked == 1 for norm in norms)


def test_a_mask_detector_learns_from_masks(split: Path) -> None:
    detector = new_detector("maskrcnn_resnet50_fpn", image_size=64)
    detector.module.roi_heads.fg_bg_sampler.batch_size_per_image = 16
    sgd = Optimizer(name="sgd", learning_rate=0.001, weight_decay=0, momentum=0)
    settings = replace(TRAINING, batch_size=2, optimizer=sgd, gradient_clip=None)
    (first,) = itertools.islice(run(detector, split, settings), 1)
    assert "loss_mask" in first.losses


def test_a_loss_that_is_not_finite_stops_with_its_parts(split: Path) -> None:
    detector = new_detector(image_size=64)
    with torch.no_grad():
        next(detector.module.parameters()).fill_(math.inf)
    with pytest.raises(UserError) as caught:
        list(run(detector, split))
    message = str(caught.value)
    assert message.startswith("the loss is not finite at step 1 with learning rate 0.0")
    assert "bbox_ctrness nan" in message
    assert message.endswith("lower learning_rate, or set gradient_clip")


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    split = write_split(tmp_path, *rectangles(1, seed=0, odd=False))
    with pytest.raises(UserError, match="train has no object to learn from"):
        list(run(new_detector(image_size=64), split))


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
