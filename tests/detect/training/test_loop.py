import itertools
import logging
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.detector import Detector
from cocopipe.detect.prediction.predict import BATCH_SIZE, predict
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Optimizer, Schedule, Training
from cocopipe.detect.training.choice import Choice, Scored
from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.detect.training.loop import train
from cocopipe.detect.training.team import Resources
from cocopipe.errors import UserError
from cocopipe.split.objects import ground_truth
from cocopipe.split.tables import read_table
from tests.detect.small import (
    ADAMW,
    CONSTANT,
    CPU,
    TRAINING,
    UNCHANGED,
    new_detector,
    written,
)
from tests.detect.splits import rectangles, write_split


def run(
    detector: Detector, split: Path, settings: Training = TRAINING, *, workers: int = 0
) -> Iterator[Event]:
    return train(detector, split, split, settings, Resources(CPU, workers))


def test_it_yields_every_step_and_epoch(split: Path) -> None:
    events = list(run(new_detector(image_size=64), split))
    assert [type(event).__name__ for event in events] == [
        *(["Step"] * 3 + ["EpochEnd"]) * 2,
        "TrainingEnd",
    ]
    steps = [event for event in events if isinstance(event, Step)]
    assert [(event.epoch, event.step) for event in steps] == [
        *((1, step) for step in (1, 2, 3)),
        *((2, step) for step in (4, 5, 6)),
    ]
    parts = {"classification", "bbox_regression", "bbox_ctrness"}
    for event in events[:-1]:
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
        events = list(run(detector, split, settings, workers=workers))
        losses = [event.losses for event in events[:-1]]
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


UNSTEADY = replace(
    TRAINING,
    epochs=4,
    batch_size=4,
    optimizer=replace(ADAMW, learning_rate=0.012),
    augment=UNCHANGED,
)
"""Learns too fast, so that its AP goes up and down."""


def aps(events: list[Event]) -> list[float | None]:
    """The APs of the epochs."""
    return [each.scores.get("AP") for each in events if isinstance(each, EpochEnd)]


def alone(detector: Detector, split: Path) -> dict[str, float | None]:
    """What an evaluation comes to."""
    found = predict(
        detector, split, batch_size=BATCH_SIZE, score_threshold=0.01, device=CPU, workers=0
    )
    metrics = score(ground_truth(split), found).metrics
    return {name: metrics[name] for name in ("AP", "AP50")}


@pytest.mark.parametrize("ema", [None, 0.5])
@pytest.mark.parametrize("select", ["best", "last"])
def test_it_ends_with_the_weights_that_are_selected(
    split: Path, select: Any, ema: float | None
) -> None:
    detector = new_detector(image_size=64)
    events = list(run(detector, split, replace(UNSTEADY, select=select, ema=ema)))
    found, end = aps(events), events[-1]
    assert isinstance(end, TrainingEnd)
    assert len(set(found)) == 4
    best = found.index(max(found)) + 1
    assert best < 4
    assert (end.epoch, end.epochs, end.step, end.stopped) == (
        best if select == "best" else 4,
        *(4, 8, None),
    )
    assert end.reason == {"best": "the best AP", "last": "the last, by train.select"}[select]
    assert end.scores == alone(detector, split)
    assert end.scores["AP"] == found[end.epoch - 1] > 0


def test_ap_is_that_of_an_evaluation_with_any_number_of_workers(split: Path) -> None:
    settings = replace(UNSTEADY, epochs=2)
    each = [list(run(new_detector(image_size=64), split, settings, workers=n)) for n in (0, 1)]
    assert aps(each[0]) == aps(each[1])


def test_validation_does_not_change_what_is_learnt(split: Path, tmp_path: Path) -> None:
    saved = []
    for every in (1, 2):
        detector = new_detector(image_size=64)
        events = list(run(detector, split, replace(UNSTEADY, epochs=3, eval_epochs=every)))
        assert [ap is None for ap in aps(events)] == {1: [False] * 3, 2: [True, False, False]}[
            every
        ]
        saved.append(written(detector, tmp_path / str(every)))
    assert saved[0] == saved[1]


def test_what_is_saved_is_the_moving_average(split: Path) -> None:
    """Followed by torch's own, step by step."""
    detector = new_detector(image_size=64)
    theirs = None
    for event in run(detector, split, replace(UNSTEADY, epochs=2, ema=0.1)):
        if not isinstance(event, Step):
            continue
        if theirs is None:
            average = get_ema_multi_avg_fn(0.1)  # less than the warm-up's decay from the start
            theirs = AveragedModel(detector.module, multi_avg_fn=average, use_buffers=True)
        theirs.update_parameters(detector.module)
    assert theirs is not None
    for one, other in zip(detector.module.parameters(), theirs.module.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.fixture
def up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs that score as they are told to."""
    take = Choice.take

    def told(choice: Choice, end: Scored, module: nn.Module) -> None:
        ap = [0.2, 0.3, 0.1, 0.3, 0.25][end.epoch - 1]
        take(choice, replace(end, scores={"AP": ap}), module)

    monkeypatch.setattr(Choice, "take", told)


FIVE = replace(TRAINING, epochs=5, batch_size=8, select="best")


@pytest.mark.usefixtures("up_and_down")
@pytest.mark.parametrize(
    ("patience", "epochs", "said"),
    [
        (1, 3, "no better AP in 1 evaluation"),
        (2, 4, "no better AP in 2 evaluations"),
        (3, 5, None),
        (None, 5, None),
    ],
)
def test_it_stops_when_patience_is_at_its_end(
    split: Path,
    caplog: pytest.LogCaptureFixture,
    patience: int | None,
    epochs: int,
    said: str | None,
) -> None:
    with caplog.at_level(logging.WARNING):
        *_, end = run(new_detector(image_size=64), split, replace(FIVE, patience=patience))
    assert isinstance(end, TrainingEnd)
    assert (end.epoch, end.scores, end.epochs) == (2, {"AP": 0.3}, epochs)
    assert end.stopped == said
    assert [record.getMessage() for record in caplog.records] == (
        [f"stopped after epoch {epochs} of 5: {said}"] if said else []
    )


@pytest.mark.usefixtures("up_and_down")
def test_the_rates_of_a_stopped_training_are_those_of_all_its_epochs(split: Path) -> None:
    rates = [
        [
            event.learning_rate
            for event in run(new_detector(image_size=64), split, replace(FIVE, patience=patience))
            if isinstance(event, Step)
        ]
        for patience in (None, 1)
    ]
    whole, stopped = rates
    assert (len(whole), len(stopped)) == (5, 3)
    assert stopped == whole[:3]


def empty(split: Path, tmp_path: Path) -> Path:
    """The split without its images, as `convert` writes one."""
    table = read_table(split, "instances")
    out = tmp_path / "val"
    (out / "annotations").mkdir(parents=True)
    pq.write_table(table.slice(0, 0), out / "annotations" / "instances.parquet")
    return out


@pytest.mark.parametrize("lacking", ["no images", "no box to be found"])
@pytest.mark.parametrize("patience", [None, 1])
def test_where_ap_is_not_defined_the_last_epoch_is_taken(
    split: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, lacking: str, patience: Any
) -> None:
    val = (
        empty(split, tmp_path)
        if lacking == "no images"
        else write_split(tmp_path, *rectangles(1, seed=0, odd=False))
    )
    detector = new_detector(image_size=64)
    settings = replace(TRAINING, select="best", patience=patience, batch_size=8)
    with caplog.at_level(logging.WARNING):
        events = list(train(detector, split, val, settings, Resources(CPU)))
    undefined = f"AP is not defined: {val.name} has {lacking}"
    vain = ", and train.patience does nothing" if patience else ""
    assert [record.getMessage() for record in caplog.records] == [
        f"{undefined}; the last epoch is taken{vain}"
    ]
    end = events[-1]
    assert isinstance(end, TrainingEnd)
    assert (end.epoch, end.epochs, end.scores) == (2, 2, {})
    assert end.reason == f"the last, as {undefined}"
    for event in events:
        if isinstance(event, EpochEnd):
            assert bool(event.losses) == (lacking != "no images")


def test_each_pass_seeds_torchs_generator_by_its_first_image(split: Path) -> None:
    for event in run(new_detector(image_size=64), split):
        if isinstance(event, Step):
            first = (event.step - 1) % 3 * TRAINING.batch_size
            assert torch.initial_seed() == derive(TRAINING.seed, "train", event.epoch, first)


def test_a_compiled_backbone_learns_the_same(split: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiler that is tried without a minute's wait: it does what it was given."""
    compiled, compile_it = [], nn.Module.compile

    def eagerly(module: nn.Module) -> None:
        compiled.append(module)
        compile_it(module, backend="eager")

    monkeypatch.setattr(nn.Module, "compile", eagerly)
    one, two = (new_detector(image_size=64) for _ in range(2))
    first, second = (
        next(run(each, split, replace(TRAINING, compile=each is two))) for each in (one, two)
    )
    assert compiled == [two.module.backbone]
    assert second.losses == pytest.approx(first.losses, rel=1e-4)
    assert one.module.state_dict().keys() == two.module.state_dict().keys()


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
    sgd = Optimizer(name="sgd", learning_rate=0.1, weight_decay=0, momentum=0, backbone_rate=1.0)
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
    sgd = Optimizer(name="sgd", learning_rate=0.001, weight_decay=0, momentum=0, backbone_rate=1.0)
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
