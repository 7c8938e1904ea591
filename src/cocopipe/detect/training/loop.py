"""The training loop."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, ModelConfig
from cocopipe.detect.network.device import mixed_precision, training_dtype
from cocopipe.detect.reading.loading import Loader, batches, ending_workers, loader
from cocopipe.detect.reading.order import Shuffled
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Training
from cocopipe.detect.training.augment import augmentation, magnifies
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.choice import Scored
from cocopipe.detect.training.detections import Detections
from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.detect.training.learner import Learner
from cocopipe.detect.training.losses import Steps, with_sum
from cocopipe.detect.training.multi_scale import at_sizes
from cocopipe.detect.training.norms import lone_values_normed
from cocopipe.detect.training.rates import learning_rate_at
from cocopipe.detect.training.validation import Validation
from cocopipe.errors import UserError

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

    It ends with the weights that ``settings`` select, of which the last event tells. On one CPU
    they depend on data, settings and seed alone, not on ``workers``, nor on how often it was
    stopped. Seeds torch's global generator at the start of every epoch.

    Args:
        detector: From `build`; its module is moved to ``device`` and stays there.
        train_split: A folder that the convert stage wrote.
        val_split: Another, by which weights are chosen.
        settings: What they say of the network itself, `build` has done.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.
        checkpoints: What it goes on from, and leaves for another attempt; what had happened
            until then is yielded first. None: from the start, and nothing is left.

    Raises:
        UserError: nothing to learn from, an unreadable image, or a loss that is not finite.
    """
    learner = Learner.of(detector.module, settings, device)
    order, source = _source(detector.config, train_split, settings, device=device, workers=workers)
    validation = Validation(detector.config, val_split, settings, device=device, workers=workers)
    if checkpoints:
        yield from checkpoints.resume(learner)
    steps = settings.epochs * len(source)
    progress = tqdm(total=steps, initial=learner.step, desc="train", unit="step", disable=None)
    with ending_workers(source, *validation.sources), progress:
        for epoch in range(learner.epochs + 1, settings.epochs + 1):
            if learner.choice.is_over:
                break
            started = time.perf_counter() - learner.epoch_s
            for event in _epoch(learner, epoch, order, source, settings):
                progress.update()
                learner.epoch_s = time.perf_counter() - started
                yield from _kept(event, learner, checkpoints)
            yield from _kept(_validated(learner, validation, settings), learner, checkpoints)
    learner.settle()
    yield _end(learner, settings, validation.undefined)


def _kept(event: Event, learner: Learner, checkpoints: Checkpoints | None) -> Iterator[Event]:
    """Yield an event; then, where it is time, write down how to go on from here."""
    yield event
    if checkpoints:
        checkpoints.note(event)
        # Else there are steps done that nobody was told of.
        if event.step == learner.step and checkpoints.is_due:
            checkpoints.save(learner)


def _epoch(
    learner: Learner, epoch: int, order: Shuffled, source: Loader, settings: Training
) -> Iterator[Step]:
    """Do the steps of an epoch that are still to be done; yield them some at a time."""
    module, device, dtype = learner.module, learner.device, training_dtype(learner.device)
    done = learner.step - (epoch - 1) * len(source)
    order.epoch, order.start = epoch, done * settings.batch_size
    if not done:  # else the generators are where they were
        torch.manual_seed(derive(settings.seed, "train", epoch))
    module.train()
    steps, peak = settings.epochs * len(source), settings.optimizer.learning_rate
    waiting = Steps(device)
    for images, targets in batches(source, device):
        rate = learning_rate_at(learner.step, steps, peak=peak, schedule=settings.schedule)
        with (
            mixed_precision(module, device, dtype),
            lone_values_normed(module),
            at_sizes(module, settings.augment.multi_scale),
        ):
            losses = with_sum(module(images, targets))
        learner.descend(losses["loss"], rate, settings.gradient_clip)
        waiting.add(epoch, learner.step, losses, rate=rate, images=len(images))
        if waiting.are_due:
            yield from waiting.fetched()
    yield from waiting.fetched()


def _validated(learner: Learner, validation: Validation, settings: Training) -> EpochEnd:
    """End an epoch: see what the weights are worth."""
    epoch = learner.epochs + 1
    started = time.perf_counter()
    losses = validation.losses(learner.judged)
    is_due = epoch % settings.eval_epochs == 0 or epoch == settings.epochs
    scores = validation.scores(learner.judged) if is_due else {}
    learner.choice.take(Scored(epoch, scores), learner.judged)
    validation_s = time.perf_counter() - started
    epoch_s = learner.epoch_s + validation_s
    learner.epochs, learner.epoch_s = epoch, 0.0
    return EpochEnd(epoch, learner.step, losses, scores, epoch_s, validation_s, time.time())


def _end(learner: Learner, settings: Training, undefined: str | None) -> TrainingEnd:
    """Say what the training came to, on the terminal too where it stopped early."""
    best, last = learner.choice.best, learner.choice.last
    assert last is not None  # noqa: S101 - there is an epoch at least
    stopped = None
    if last.epoch < settings.epochs:
        times = "1 evaluation" if settings.patience == 1 else f"{settings.patience} evaluations"
        stopped = f"no better AP in {times}"
        _log.warning("stopped after epoch %d of %d: %s", last.epoch, settings.epochs, stopped)
    chosen, reason = last, "the last, by train.select"
    if settings.select == "best":
        chosen, reason = (best, "the best AP") if best else (last, f"the last, as {undefined}")
    return TrainingEnd(
        chosen.epoch, reason, chosen.scores, last.epoch, learner.step, stopped, time.time()
    )


def _source(
    config: ModelConfig,
    split: Path,
    settings: Training,
    *,
    device: torch.device,
    workers: int,
) -> tuple[Shuffled, Loader]:
    """Open the split to learn from: its order, which is to be set anew each epoch, and a loader."""
    train_set = Detections(
        split,
        labels=config.labels,
        masks=config.needs_masks,
        keypoints=config.keypoint_count,
        augment=augmentation(settings.augment, config.keypoints),
        seed=settings.seed,
        shortest_side=None if magnifies(settings.augment) else config.min_size,
    )
    if not train_set.objects:
        raise UserError(f"{split} has no object to learn from: annotate some images")
    if settings.batch_size > len(train_set):
        _log.warning(
            "batch_size is %d, but %s holds %d images: an epoch is a single step with all of them;"
            " lower batch_size for more",
            *(settings.batch_size, split, len(train_set)),
        )
    order = Shuffled(train_set.images.groups, settings.seed)
    return order, loader(
        train_set, order, batch_size=settings.batch_size, workers=workers, device=device
    )
