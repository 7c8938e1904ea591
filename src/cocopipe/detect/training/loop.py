"""The training loop."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from cocopipe.detect.settings import Optimizer, Training
from cocopipe.detect.training.augment import augmentation, magnifies
from cocopipe.detect.training.detections import Detections
from cocopipe.detect.training.norms import lone_values_normed, statistics_kept
from cocopipe.detect.training.rates import learning_rate_at
from cocopipe.errors import UserError

Loader = DataLoader[Sample]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """What one step of the optimizer did."""

    epoch: int
    """The number of the epoch, from 1."""
    step: int
    """The number of the step, from 1, over all epochs."""
    losses: Mapping[str, float]
    """The parts that torchvision's detector gives, and their sum as ``loss``."""
    learning_rate: float
    images_per_s: float


@dataclass(frozen=True)
class EpochEnd:
    """What an epoch came to."""

    epoch: int
    """The number of the epoch, from 1."""
    losses: Mapping[str, float]
    """Means over the validation images: the parts, and their sum as ``loss``."""
    duration_s: float
    """Seconds of training and validation."""


def train(
    detector: Detector,
    train_split: Path,
    val_split: Path,
    settings: Training,
    *,
    device: torch.device,
    workers: int,
) -> Iterator[Step | EpochEnd]:
    """Train ``detector`` in place and yield what happened, step by step.

    On one CPU the weights depend on data, settings and seed alone, not on ``workers``.
    Seeds torch's global generator at the start of every epoch.

    Args:
        detector: From `build`; its module is moved to ``device`` and stays there.
        train_split: A folder that the convert stage wrote.
        val_split: Another; only its loss is computed.
        settings: What they say of the network itself, `build` has done.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.

    Raises:
        UserError: nothing to learn from, an unreadable image, or a loss that is not finite.
    """
    module = detector.module.to(device)
    order, source, val_source = _sources(
        detector.config, train_split, val_split, settings, device=device, workers=workers
    )
    optimizer = _optimizer(settings.optimizer, module)
    dtype = training_dtype(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    step, steps = 0, settings.epochs * len(source)
    peak = settings.optimizer.learning_rate
    progress = tqdm(total=steps, desc="train", unit="step", disable=None)
    with ending_workers(source, val_source), progress:
        for epoch in range(1, settings.epochs + 1):
            epoch_started = step_started = time.perf_counter()
            order.epoch = epoch
            torch.manual_seed(derive(settings.seed, "train", epoch))
            module.train()
            for images, targets in batches(source, device):
                rate = learning_rate_at(step, steps, peak=peak, schedule=settings.schedule)
                with mixed_precision(module, device, dtype), lone_values_normed(module):
                    losses = _with_sum(module(images, targets))
                step += 1
                values = _floats(losses)
                _check_finite(values, step, rate)
                _descend(losses["loss"], optimizer, scaler, rate, settings.gradient_clip)
                speed = len(images) / (time.perf_counter() - step_started)
                yield Step(epoch, step, values, rate, speed)
                progress.update()
                step_started = time.perf_counter()
            val_losses = validate(module, val_source, seed=settings.seed, device=device)
            yield EpochEnd(epoch, val_losses, time.perf_counter() - epoch_started)


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


def _optimizer(settings: Optimizer, module: nn.Module) -> torch.optim.Optimizer:
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    rate, decay, momentum = settings.learning_rate, settings.weight_decay, settings.momentum
    match settings.name:
        case "adamw":
            return torch.optim.AdamW(weights, lr=rate, weight_decay=decay)
        case "sgd":
            return torch.optim.SGD(
                weights, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
            )


def _descend(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    rate: float,
    gradient_clip: float | None,
) -> None:
    """Change the weights so that ``loss`` falls."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(scaler.scale(loss))
    if gradient_clip is not None:
        scaler.unscale_(optimizer)
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(trained, gradient_clip)
    scaler.step(optimizer)
    scaler.update()


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
