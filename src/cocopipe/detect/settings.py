"""What a training is told, as values; without torch, for those who only read or write them."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from cocopipe.checked import Positive, Probability, Seed, checked

Zoom = Annotated[float, Field(gt=0)]


@checked
class Optimizer:
    """How weights change."""

    name: Literal["adamw", "sgd"]
    """Which one; sgd is with Nesterov's momentum."""
    learning_rate: Annotated[float, Field(gt=0)]
    """The highest that the schedule reaches."""
    weight_decay: Annotated[float, Field(ge=0)]
    """Share of every trained weight that a step takes off, times the learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """For sgd; adamw has its own."""
    backbone_rate: Annotated[float, Field(gt=0)]
    """Learning rate of the backbone, by that of the rest: 0.1 for a tenth."""


@checked
class Schedule:
    """How the learning rate changes."""

    name: Literal["one_cycle", "cosine", "step", "constant"]
    """Its course after the warmup; see `learning_rate_at`."""
    warmup_fraction: Probability
    """Share of all steps in which it rises to its highest."""


def _rising(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError("the first must not be larger than the second")
    return values


@checked
class Augment:
    """Random changes of training images."""

    horizontal_flip: Probability
    """Probability of a mirror image, left for right."""
    photometric: Probability
    """Probability of a change in brightness, contrast, saturation and hue."""
    crop: Probability
    """Probability of a crop that keeps some object."""
    scale: Annotated[list[Zoom], Field(min_length=2, max_length=2), AfterValidator(_rising)] | None
    """Least and largest zoom; None for none."""
    multi_scale: Annotated[list[Annotated[int, Field(ge=32)]], Field(min_length=1)] | None
    """Shorter sides to bring images to, pixels, one by chance each; None for `image_size` alone."""


@checked
class Training:
    """What to train, and how."""

    model: str
    """``fcos_tiny``, or a name of ``torchvision.models.detection``."""
    weights: str
    """``none``, ``DEFAULT``, ``COCO_V1``, or a path in models/initial."""
    image_size: Annotated[int, Field(ge=32)] | None
    """Shorter side of what the network sees, pixels; None for the model's own."""
    trainable_layers: Annotated[int, Field(ge=0, le=6)] | None
    """Layers of the backbone that learn, counted from its end; None for torchvision's choice with
    its weights, and all of them else."""
    epochs: Positive
    """Passes over the training images."""
    eval_epochs: Positive
    """Epochs from one validation AP to the next; the last epoch has one in any case."""
    select: Literal["best", "last"]
    """Which epoch's weights are the result: those of the highest validation AP, or the last."""
    patience: Positive | None
    """Validation APs in a row, none of them better, after which it stops; None for never."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None
    """Decay of the weights' moving average, which is validated and saved; None for none."""
    batch_size: Positive
    """Images a step, of all processes together."""
    compile: bool
    """Whether torch compiles the backbone, which takes minutes at first and is faster then."""
    sync_norms: bool
    """Whether batch norms have the statistics of all processes together; GPUs only."""
    seed: Seed
    """For new weights, order, augmentation and the detector's own sampling."""
    optimizer: Optimizer
    schedule: Schedule
    gradient_clip: Annotated[float, Field(gt=0)] | None
    """Largest norm of all gradients together; None for no limit."""
    augment: Augment
