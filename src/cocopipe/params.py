"""``params.yaml`` as frozen, validated values.

No value has a default here: params.yaml states each one, so that DVC sees what a stage
was given, and this module determines no result.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cocopipe.errors import UserError

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Zoom = Annotated[float, Field(gt=0)]

_section = dataclass(
    frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
)


@_section
class Sample:
    """A set of shapes that is generated on the spot."""

    images: Positive
    """How many images, split into train and val later."""
    image_size: Annotated[int, Field(ge=64, le=4096)]
    """Width and height of an image, pixels. (DVC's run-cache overlooks a param named size.)"""
    seed: Seed
    """Image k depends on this and on k alone."""


@_section
class Directory:
    """A COCO dataset on disk."""

    path: Annotated[str, Field(min_length=1)]
    """The folder; DVC watches it."""
    splits: dict[str, dict[str, Any]]
    """For a layout of its own: split -> {images: folder, annotations: file or list}."""


@_section
class Coco:
    """The official COCO 2017 archives."""

    splits: Annotated[list[str], Field(min_length=1)]
    """Names of archives: ``val2017``, ``train2017``."""
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    """Where ``zips/`` and ``annotations/`` are."""
    checksums: dict[str, dict[str, Any]]
    """For a mirror with other content: archive -> {bytes: …, md5: …}."""


@_section
class HuggingFace:
    """A detection dataset on the Hugging Face Hub."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """``owner/name``."""
    revision: Annotated[str, Field(min_length=1)]
    """A commit; a branch would move."""
    splits: Annotated[list[str], Field(min_length=1)]
    """Which of its splits."""
    box_format: Literal["xyxy", "xywh"]
    """How its ``bbox`` is meant, in pixels."""


@_section
class Download:
    """Where the raw data comes from."""

    source: Literal["sample", "directory", "coco", "huggingface"]
    """Which of the sections below counts."""
    sample: Sample
    directory: Directory
    coco: Coco
    huggingface: HuggingFace


@_section
class Convert:
    """From raw COCO data to image store and annotation tables."""

    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    """Share of a single split that becomes val, chosen by a hash of the image id."""
    subset: Positive | None
    """Take only the first N images of each split; null takes all."""
    on_missing: Literal["error", "skip"]
    """What to do about a listed image that is not there."""
    on_mismatch: Literal["keep", "error"]
    """What to do about an annotated width and height that are not the file's."""
    verify: Literal["header", "decode"]
    """How to tell that an image is whole: by headers and its end, or by decoding all of it.

    Decoders fill in what is missing in the middle of a JPEG, and so does this one."""


@_section
class Inspect:
    """Statistics and pictures of the data."""

    pictures: Count
    """How many images of each split are drawn."""


@_section
class Optimizer:
    """How weights change."""

    name: Literal["adamw", "sgd"]
    learning_rate: Annotated[float, Field(gt=0)]
    """The highest that the schedule reaches."""
    weight_decay: Annotated[float, Field(ge=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """For sgd; adamw has its own."""


@_section
class Schedule:
    """How the learning rate changes."""

    name: Literal["one_cycle", "cosine", "step", "constant"]
    warmup_fraction: Probability
    """Share of all steps in which it rises to its highest."""


def _rising(values: list[float]) -> list[float]:
    if values[0] > values[1]:
        raise ValueError("the first must not be larger than the second")
    return values


@_section
class Augment:
    """Random changes of training images."""

    horizontal_flip: Probability
    photometric: Probability
    """Of a change in brightness, contrast, saturation and hue."""
    crop: Probability
    """Of a crop that keeps some object."""
    scale: Annotated[list[Zoom], Field(min_length=2, max_length=2), AfterValidator(_rising)] | None
    """Least and largest zoom; null for none."""


@_section
class Train:
    """What to train, and how."""

    model: str
    """``fcos_tiny``, or a name of ``torchvision.models.detection``."""
    weights: str
    """``none``, ``DEFAULT``, ``COCO_V1``, or a path in models/initial."""
    image_size: Annotated[int, Field(ge=32)] | None
    """Shorter side of what the network sees, pixels; null for the model's own."""
    epochs: Positive
    batch_size: Positive
    seed: Seed
    optimizer: Optimizer
    schedule: Schedule
    gradient_clip: Annotated[float, Field(gt=0)] | None
    """Largest norm of all gradients together; null for no limit."""
    augment: Augment


@_section
class Evaluate:
    """How a model is scored."""

    score_threshold: Probability
    """Predictions below it are dropped."""
    pictures: Count
    """How many images are drawn with ground truth beside predictions."""


@_section
class Register:
    """What makes a model good enough."""

    model_name: Annotated[str, Field(min_length=1, pattern=r"^[\w-]([\w .-]*[\w-])?$")]
    """The registered model in MLflow."""
    thresholds: dict[str, float]
    """Metric -> the least that is accepted."""
    promote_metric: str
    """The metric that `cocopipe promote` compares; more is better."""


@_section
class Machine:
    """How and where; changes of it rerun nothing."""

    workers: Count
    """Processes or threads that read and write data."""
    device: str
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""


@_section
class Tracking:
    """What MLflow gets; changes of it rerun nothing."""

    experiment: Annotated[str, Field(min_length=1)]
    """The experiment that runs go to."""
    images: Literal["none", "preview", "all"]
    """Images beside a training run: none, a sheet of some, or every file."""


@_section
class Params:
    """All of ``params.yaml``: a section for each stage, and two for how and where."""

    download: Download
    convert: Convert
    inspect: Inspect
    train: Train
    evaluate: Evaluate
    register: Register
    machine: Machine
    tracking: Tracking


def read(path: Path) -> Params:
    """Read and check ``params.yaml``, as DVC reads it.

    Raises:
        UserError: If the file is missing, or a key is unknown, missing or out of range.
    """
    from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml

    try:
        values = load_yaml(str(path))
    except FileNotFoundError as error:
        raise UserError(f"{path.name} is not there: get it back with `git checkout`.") from error
    except YAMLFileCorruptedError as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"{path.name} is not YAML: {reason[:200]}") from error
    try:
        # Only in its JSON mode does pydantic take mappings and still refuse "3" for 3.
        return TypeAdapter(Params).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise UserError(_sentence(path.name, error)) from error


def _sentence(name: str, error: ValidationError) -> str:
    """Say one of the errors, an unknown key first, and how many more there are."""
    unknown = "unexpected_keyword_argument"
    first, *more = sorted(error.errors(), key=lambda each: each["type"] != unknown)
    key = ".".join(str(part) for part in first["loc"] if part not in _UNION_BRANCHES)
    match first["type"]:
        case "unexpected_keyword_argument":
            what = f"{key} is unknown; check its spelling"
        case "missing" | "missing_argument":
            what = f"{key} is missing; give it a value"
        case _:
            message = first["msg"]
            what = f"{key} is {first['input']!r}; {message[0].lower()}{message[1:]}"
    return f"{name}: {what}{f' (and {len(more)} more)' if more else ''}."


_UNION_BRANCHES = ("int", "float", "list[float]", "list", "none")
"""Pydantic puts the branch of a union that failed into the place of an error."""
