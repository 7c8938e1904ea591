"""The training loop."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from cocopipe.detect.augment import augmentation, magnifies
from cocopipe.detect.data import Detections, Sample
from cocopipe.detect.device import mixed_precision, training_dtype
from cocopipe.detect.loading import batches, loader
from cocopipe.detect.models import Detector
from cocopipe.detect.order import Shuffled, in_order
from cocopipe.detect.seeds import derive
from cocopipe.errors import UserError

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("one_cycle", "cosine", "step", "constant")


@dataclass(frozen=True)
class Step:
    """What one step of the optimizer did."""

    epoch: int
    """From 1."""
    step: int
    """From 1, over all epochs."""
    losses: dict[str, float]
    """The parts that torchvision's detector gives, and their sum as ``loss``."""
    learning_rate: float
    images_per_s: float


@dataclass(frozen=True)
class EpochEnd:
    """What an epoch came to."""

    epoch: int
    losses: dict[str, float]
    """Means over the validation images: the parts, and their sum as ``loss``."""
    duration_s: float
    """Of training and validation."""


def train(
    detector: Detector,
    train_split: Path,
    val_split: Path,
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    momentum: float,
    schedule: str,
    warmup: float,
    gradient_clip: float | None,
    augment: Mapping[str, Any],
    seed: int,
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
        epochs: Passes over the training images.
        batch_size: Images a step.
        optimizer: ``adamw`` or ``sgd`` (with Nesterov's momentum).
        learning_rate: The highest that the schedule reaches.
        weight_decay: Of every weight that is trained.
        momentum: Of ``sgd``; ``adamw`` keeps its own.
        schedule: See `learning_rate_at`.
        warmup: Share of all steps during which the learning rate rises, 0 to 1.
        gradient_clip: Greatest norm of the gradient; None: no limit.
        augment: See `augmentation`.
        seed: For order, augmentation and the detector's own sampling.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.

    Raises:
        UserError: an unknown setting, nothing to learn from, an unreadable image, or a
            loss that is not finite.
    """
    module, config = detector.module.to(device), detector.config
    options: dict[str, Any] = {"labels": config.labels, "masks": config.needs_masks, "seed": seed}
    seen_side = None if magnifies(augment) else config.min_size
    train_set = Detections(
        train_split, augment=augmentation(augment), shortest_side=seen_side, **options
    )
    val_set = Detections(val_split, augment=None, shortest_side=config.min_size, **options)
    if not train_set.objects:
        raise UserError(f"{train_split} has no object to learn from: annotate some images")
    order = Shuffled(train_set.images.groups, seed)
    reading: dict[str, Any] = {"batch_size": batch_size, "workers": workers, "device": device}
    train_loader = loader(train_set, order, **reading)
    val_loader = loader(val_set, in_order(len(val_set)), **reading)

    optim = _optimizer(optimizer, module, rate=learning_rate, decay=weight_decay, momentum=momentum)
    trained = [weight for group in optim.param_groups for weight in group["params"]]
    dtype = training_dtype(device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    steps = epochs * len(train_loader)
    step = 0
    progress = tqdm(total=steps, desc="train", unit="step", disable=None)
    for epoch in range(1, epochs + 1):
        epoch_started = step_started = time.perf_counter()
        order.epoch = epoch
        torch.manual_seed(derive(seed, "train", epoch))
        module.train()
        for images, targets in batches(train_loader, device):
            rate = learning_rate_at(
                step, steps, peak=learning_rate, schedule=schedule, warmup=warmup
            )
            for group in optim.param_groups:
                group["lr"] = rate
            with mixed_precision(module, device, dtype), _lone_values_normed(module):
                losses = module(images, targets)
            total = torch.stack(list(losses.values())).sum()
            parts = _floats({**losses, "loss": total})
            step += 1
            _check_finite(parts, step, rate)

            optim.zero_grad(set_to_none=True)
            torch.autograd.backward(scaler.scale(total))
            if gradient_clip is not None:
                scaler.unscale_(optim)
                nn.utils.clip_grad_norm_(trained, gradient_clip)
            scaler.step(optim)
            scaler.update()

            now = time.perf_counter()
            yield Step(epoch, step, parts, rate, len(images) / (now - step_started))
            progress.update()
            step_started = time.perf_counter()
        val_losses = validate(module, val_loader, seed=seed, device=device)
        yield EpochEnd(epoch, val_losses, time.perf_counter() - epoch_started)
    progress.close()


def validate(
    module: nn.Module, source: DataLoader[Sample], *, seed: int, device: torch.device
) -> dict[str, float]:
    """Return the means of a detector's losses over the images of ``source``.

    torchvision gives losses in training mode only, so that is what the module is in, with
    norms and dropout as for prediction. The same weights and seed give the same losses:
    torch's generators are put back afterwards.
    """
    sums: dict[str, float] = {}
    images_seen = 0
    gpus = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=gpus), _statistics_kept(module):
        torch.manual_seed(derive(seed, "validate"))
        for images, targets in batches(source, device):
            losses = module(images, targets)
            total = torch.stack(list(losses.values())).sum()
            for name, value in _floats({**losses, "loss": total}).items():
                sums[name] = sums.get(name, 0.0) + value * len(images)
            images_seen += len(images)
    return {name: value / images_seen for name, value in sums.items()}


def learning_rate_at(step: int, steps: int, *, peak: float, schedule: str, warmup: float) -> float:
    """Return the learning rate of a step.

    Args:
        step: From 0.
        steps: How many there are.
        peak: The highest learning rate.
        schedule: ``one_cycle``: from ``peak`` / 25 up and down to almost 0, both as half a
            cosine (https://arxiv.org/abs/1708.07120, without its momentum); ``cosine``:
            after the warmup, half a cosine down to 0; ``step``: a tenth after 60 % of the
            steps and a hundredth after 85 %; ``constant``. The last three warm up
            linearly.
        warmup: Share of the steps during which it rises, 0 to 1.

    Raises:
        UserError: unknown schedule.
    """
    if schedule not in SCHEDULES:
        raise UserError(f"schedule {schedule!r} is unknown: use one of {', '.join(SCHEDULES)}")
    rising = round(warmup * steps)
    if step < rising:
        risen = (step + 1) / rising
        if schedule == "one_cycle":
            return peak * (0.04 + 0.96 * _half_cosine(1 - risen))
        return peak * risen
    if schedule in ("one_cycle", "cosine"):
        return peak * _half_cosine((step - rising) / max(1, steps - rising))
    if schedule == "step":
        return peak * 0.1 ** ((step >= 0.6 * steps) + (step >= 0.85 * steps))
    return peak


def _half_cosine(done: float) -> float:
    """Fall smoothly from 1 to 0 while ``done`` rises from 0 to 1."""
    return (1 + math.cos(math.pi * done)) / 2


def _optimizer(
    name: str, module: nn.Module, *, rate: float, decay: float, momentum: float
) -> torch.optim.Optimizer:
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    if name == "adamw":
        return torch.optim.AdamW(weights, lr=rate, weight_decay=decay)
    if name == "sgd":
        return torch.optim.SGD(
            weights, lr=rate, weight_decay=decay, momentum=momentum, nesterov=momentum > 0
        )
    raise UserError(f"optimizer {name!r} is unknown: use one of {', '.join(OPTIMIZERS)}")


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


@contextmanager
def _lone_values_normed(module: nn.Module) -> Iterator[None]:
    """Let norms that get one value a channel use their statistics, for it has none itself.

    So it is where a small map meets a batch of one image, the last of an epoch for instance.
    """

    def choose(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        (values,) = inputs
        norm.train(values.numel() > values.shape[1])

    hooks = [
        part.register_forward_pre_hook(choose)
        for part in module.modules()
        if isinstance(part, nn.modules.batchnorm._BatchNorm)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _statistics_kept(module: nn.Module) -> Iterator[None]:
    """Training mode, in which norms use their statistics unchanged and nothing is dropped."""
    training = module.training
    module.train()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd):
            part.eval()
    try:
        yield
    finally:
        module.train(training)
