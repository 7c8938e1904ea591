"""The training loop."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, ModelConfig
from cocopipe.detect.reading.loading import Loader, batches, ending_workers, loader_of_parts
from cocopipe.detect.reading.order import Parts, Share, Shuffled
from cocopipe.detect.seeds import derive
from cocopipe.detect.settings import Training
from cocopipe.detect.training.augment import augmentation, magnifies
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.choice import Scored
from cocopipe.detect.training.detections import Detections
from cocopipe.detect.training.events import EpochEnd, Event, Step, TrainingEnd
from cocopipe.detect.training.learner import Learner
from cocopipe.detect.training.losses import Steps
from cocopipe.detect.training.rates import learning_rate_at
from cocopipe.detect.training.team import Resources, Team, device_of, join, team
from cocopipe.detect.training.validation import Validation
from cocopipe.errors import UserError

_log = logging.getLogger(__name__)


def train(
    detector: Detector,
    train_split: Path,
    val_split: Path,
    settings: Training,
    machine: Resources,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Event]:
    """Train ``detector`` in place and yield what happened, step by step.

    It ends with the weights that ``settings`` select, of which the last event tells. On one CPU
    they depend on data, settings, seed and the parts of a step alone, not on how many read, nor on
    how often it was stopped. Seeds torch's global generator before every pass.

    Args:
        detector: From `build`; its module is moved to the device and stays there.
        train_split: A folder that the convert stage wrote.
        val_split: Another, by which weights are chosen.
        settings: What they say of the network itself, `build` has done.
        machine: What it is done with.
        checkpoints: What it goes on from, and leaves for another attempt; what had happened
            until then is yielded first. None: from the start, and nothing is left.

    Raises:
        UserError: nothing to learn from, an unreadable image, or a loss that is not finite.
    """
    job = (detector, train_split, settings, replace(machine, processes=1))
    with team(machine.processes, _take_part, machine.device) as joined:
        joined.told(job)
        own = replace(machine, device=device_of(joined, machine.device))
        learner = Learner.of(detector.module, settings, own.device)
        parts, source = _source(detector.config, train_split, settings, own, joined.share)
        validation = Validation(
            detector.config, val_split, settings, device=own.device, workers=own.workers
        )
        if checkpoints:
            yield from checkpoints.resume(learner)
        learner.join(joined, settings)
        steps = settings.epochs * parts.steps
        progress = tqdm(total=steps, initial=learner.step, desc="train", unit="step", disable=None)
        with ending_workers(source, *validation.sources), progress:
            for event in _events(learner, parts, source, settings, validation):
                progress.update(isinstance(event, Step))
                yield from _kept(event, learner, checkpoints)
        learner.settle()
        yield _end(learner, settings, validation.undefined)


def take_part(device: str) -> None:
    """Do the part of a process that torchrun started as another than the first.

    Args:
        device: As for `choose`.
    """
    join(_take_part, device)


def _take_part(joined: Team, job: tuple[Detector, Path, Training, Resources]) -> None:
    """Do another process's part of a training, which the first one tells of."""
    detector, split, settings, machine = job
    machine = replace(machine, device=device_of(joined, machine.device))
    learner = Learner.of(detector.module, settings, machine.device)
    parts, source = _source(detector.config, split, settings, machine, joined.share)
    learner.join(joined, settings)
    with ending_workers(source):
        for _ in _events(learner, parts, source, settings, None):
            pass


def _events(
    learner: Learner,
    parts: Parts,
    source: Loader,
    settings: Training,
    validation: Validation | None,
) -> Iterator[Step | EpochEnd]:
    """Do the epochs that are still to be done; without ``validation``, the first process has it."""
    for epoch in range(learner.epochs + 1, settings.epochs + 1):
        if learner.choice.is_over:
            return
        started = time.perf_counter() - learner.epoch_s
        for event in _epoch(learner, epoch, parts, source, settings):
            learner.epoch_s = time.perf_counter() - started
            yield event
        yield _validated(learner, validation, settings)


def _kept(event: Event, learner: Learner, checkpoints: Checkpoints | None) -> Iterator[Event]:
    """Yield an event; then, where it is time, write down how to go on from here."""
    yield event
    if checkpoints:
        checkpoints.note(event)
        # Else there are steps done that nobody was told of.
        if event.step == learner.step and checkpoints.is_due:
            checkpoints.save(learner)


def _epoch(
    learner: Learner, epoch: int, parts: Parts, source: Loader, settings: Training
) -> Iterator[Step]:
    """Do the steps of an epoch that are still to be done; yield them some at a time."""
    parts.begin(epoch, learner.step - (epoch - 1) * parts.steps)
    learner.module.train()
    steps, peak = settings.epochs * parts.steps, settings.optimizer.learning_rate
    waiting = Steps(learner.device)
    for part, (images, targets) in zip(parts.parts(), batches(source, learner.device), strict=True):
        torch.manual_seed(derive(settings.seed, "train", epoch, part.name))
        losses = learner.learn(images, targets, part)
        if part.ends_step:
            rate = learning_rate_at(learner.step, steps, peak=peak, schedule=settings.schedule)
            learner.descend(rate, settings.gradient_clip)
            waiting.add(epoch, learner.step, losses, rate=rate, images=part.batch)
        if waiting.are_due:
            yield from waiting.fetched()
    yield from waiting.fetched()


def _validated(learner: Learner, validation: Validation | None, settings: Training) -> EpochEnd:
    """End an epoch: see what the weights are worth."""
    epoch = learner.epochs + 1
    started = time.perf_counter()
    found: tuple[dict[str, float], dict[str, float]] | None = None
    if validation:
        is_due = epoch % settings.eval_epochs == 0 or epoch == settings.epochs
        scores = validation.scores(learner.judged) if is_due else {}
        found = validation.losses(learner.judged), scores
    losses, scores = learner.team.told(found)
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
    config: ModelConfig, split: Path, settings: Training, machine: Resources, share: Share
) -> tuple[Parts, Loader]:
    """Open the split to learn from: in which parts, and what reads them."""
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
    parts = Parts(order, settings.batch_size, share, machine.micro_batch)
    return parts, loader_of_parts(train_set, parts, workers=machine.workers, device=machine.device)
