"""The training loop."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, ModelConfig
from cocopipe.detect.network.device import mixed_precision, training_dtype
from cocopipe.detect.reading.images import Sample
from cocopipe.detect.reading.loading import batches, ending_workers, loader
from cocopipe.detect.reading.order import Shuffled, in_order
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Training
from cocopipe.detect.training.augment import augmentation, magnifies
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.detections import Detections
from cocopipe.detect.training.events import EpochEnd, Event, Step
from cocopipe.detect.training.learner import Learner
from cocopipe.detect.training.norms import lone_values_normed, statistics_kept
from cocopipe.detect.training.rates import learning_rate_at
from cocopipe.errors import UserError

Loader = DataLoader[Sample]

_log = logging.getLogger(__name__)


def train(
    detector: Detector,
    train_split: Path,
    val_split: Path,
    settings: Training,
    *,
    device: torch.device,
    workers: int,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Event]:
    """Train ``detector`` in place and yield what happened, step by step.

    On one CPU the weights depend on data, settings and seed alone, not on ``workers``, nor on
    how often it was stopped. Seeds torch's global generator at the start of every epoch.

    Args:
        detector: From `build`; its module is moved to ``device`` and stays there.
        train_split: A folder that the convert stage wrote.
        val_split: Another; only its loss is computed.
        settings: What they say of the network itself, `build` has done.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.
        checkpoints: What it goes on from, and leaves for another attempt; what had happened
            until then is yielded first. None: from the start, and nothing is left.

    Raises:
        UserError: nothing to learn from, an unreadable image, or a loss that is not finite.
    """
    learner = Learner.of(detector.module, settings.optimizer, device)
    order, source, val_source = _sources(
        detector.config, train_split, val_split, settings, device=device, workers=workers
    )
    if checkpoints:
        yield from checkpoints.resume(learner)
    steps = settings.epochs * len(source)
    progress = tqdm(total=steps, initial=learner.step, desc="train", unit="step", disable=None)
    with ending_workers(source, val_source), progress:
        for epoch in range(learner.epochs + 1, settings.epochs + 1):
            started = time.perf_counter() - learner.epoch_s
            for event in _epoch(learner, epoch, order, source, settings):
                progress.update()
                learner.epoch_s = time.perf_counter() - started
                yield from _kept(event, learner, checkpoints)
            val_losses = validate(learner.module, val_source, seed=settings.seed, device=device)
            taken = time.perf_counter() - started
            learner.epochs, learner.epoch_s = epoch, 0.0
            end = EpochEnd(epoch, learner.step, val_losses, taken, time.time())
            yield from _kept(end, learner, checkpoints)


def _kept(event: Event, learner: Learner, checkpoints: Checkpoints | None) -> Iterator[Event]:
    """Yield an event; then, where it is time, write down how to go on from here."""
    yield event
    if checkpoints:
        checkpoints.note(event)
        if checkpoints.is_due:
            checkpoints.save(learner)


def _epoch(
    learner: Learner, epoch: int, order: Shuffled, source: Loader, settings: Training
) -> Iterator[Step]:
    """Do the steps of an epoch that are still to be done."""
    module, device, dtype = learner.module, learner.device, training_dtype(learner.device)
    done = learner.step - (epoch - 1) * len(source)
    order.epoch, order.start = epoch, done * settings.batch_size
    if not done:  # else the generators are where they were
        torch.manual_seed(derive(settings.seed, "train", epoch))
    module.train()
    steps, peak = settings.epochs * len(source), settings.optimizer.learning_rate
    started = time.perf_counter()
    for images, targets in batches(source, device):
        rate = learning_rate_at(learner.step, steps, peak=peak, schedule=settings.schedule)
        with mixed_precision(module, device, dtype), lone_values_normed(module):
            losses = _with_sum(module(images, targets))
        values = _floats(losses)
        _check_finite(values, learner.step + 1, rate)
        learner.descend(losses["loss"], rate, settings.gradient_clip)
        speed = len(images) / (time.perf_counter() - started)
        yield Step(epoch, learner.step, values, rate, speed, time.time())
        started = time.perf_counter()


def validate(
    module: nn.Module, source: Loader, *, seed: int, device: torch.device
) -> dict[str, float]:
    """Return the means of a detector's losses over the images of ``source``.

    torchvision gives losses in training mode only, so that is what the module is in, with
    norms and dropout as for prediction. The same weights and seed give the same losses:
    torch's generators are put back afterwards.
    """
    sums: dict[str, float] = {}
    images_seen = 0
    gpus = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=gpus), statistics_kept(module):
        torch.manual_seed(derive(seed, "validate"))
        for images, targets in batches(source, device):
            for name, value in _floats(_with_sum(module(images, targets))).items():
                sums[name] = sums.get(name, 0.0) + value * len(images)
            images_seen += len(images)
    return {name: value / images_seen for name, value in sums.items()}


def _sources(
    config: ModelConfig,
    train_split: Path,
    val_split: Path,
    settings: Training,
    *,
    device: torch.device,
    workers: int,
) -> tuple[Shuffled, Loader, Loader]:
    """Open both splits: the order of the first, which is to be set anew each epoch, and loaders."""
    detections = partial(
        Detections, labels=config.labels, masks=config.needs_masks, seed=settings.seed
    )
    train_set = detections(
        train_split,
        augment=augmentation(settings.augment),
        shortest_side=None if magnifies(settings.augment) else config.min_size,
    )
    val_set = detections(val_split, augment=None, shortest_side=config.min_size)
    if not train_set.objects:
        raise UserError(f"{train_split} has no object to learn from: annotate some images")
    if settings.batch_size > len(train_set):
        _log.warning(
            "batch_size is %d, but %s holds %d images: an epoch is a single step with all of them;"
            " lower batch_size for more",
            *(settings.batch_size, train_split, len(train_set)),
        )
    order = Shuffled(train_set.images.groups, settings.seed)
    reader = partial(loader, batch_size=settings.batch_size, workers=workers, device=device)
    return order, reader(train_set, order), reader(val_set, in_order(val_set.images.stored_order))


def _with_sum(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the sum of all parts as ``loss``."""
    return {**losses, "loss": torch.stack(list(losses.values())).sum()}


def _floats(losses: Mapping[str, Tensor]) -> dict[str, float]:
    """Bring losses to the CPU, all at once: each trip waits for the GPU."""
    values = torch.stack([loss.detach().float() for loss in losses.values()]).tolist()
    return dict(zip(losses, values, strict=True))


def _check_finite(losses: Mapping[str, float], step: int, rate: float) -> None:
    if not all(map(math.isfinite, losses.values())):
        parts = ", ".join(f"{name} {value:g}" for name, value in losses.items())
        raise UserError(
            f"the loss is not finite at step {step} with learning rate {rate:g} ({parts}): "
            "lower learning_rate, or set gradient_clip"
        )
