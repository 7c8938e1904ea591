"""``params.yaml`` as frozen, validated values.

No value has a default here: params.yaml states each one, so that DVC sees what a stage
was given, and this module determines no result.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from cocopipe.checked import Count, Positive, Probability, Seed, checked
from cocopipe.convert.settings import ConvertSettings
from cocopipe.detect.settings import Training
from cocopipe.errors import UserError


@checked
class SampleSource:
    """A set of shapes that is generated on the spot."""

    images: Positive
    """How many images, split into train and val later."""
    image_size: Annotated[int, Field(ge=64, le=4096)]
    """Width and height of an image, pixels. (DVC's run-cache overlooks a param named size.)"""
    seed: Seed
    """Image k depends on this and on k alone."""


@checked
class DirectorySource:
    """A COCO dataset on disk."""

    path: Annotated[str, Field(min_length=1)]
    """The folder; DVC watches it."""
    splits: dict[str, dict[str, Any]]
    """For a layout of its own: split -> {images: folder, annotations: file or list}."""


@checked
class CocoSource:
    """The official COCO 2017 archives."""

    splits: Annotated[list[str], Field(min_length=1)]
    """Names of archives: ``val2017``, ``train2017``."""
    base_url: Annotated[str, Field(pattern=r"^https?://")]
    """Where ``zips/`` and ``annotations/`` are."""
    checksums: dict[str, dict[str, Any]]
    """For a mirror with other content: archive -> {bytes: …, md5: …}."""


@checked
class HuggingFaceSource:
    """A detection dataset on the Hugging Face Hub."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    """``owner/name``."""
    revision: Annotated[str, Field(min_length=1)]
    """A commit; a branch would move."""
    splits: Annotated[list[str], Field(min_length=1)]
    """Names of its splits."""
    box_format: Literal["xyxy", "xywh"]
    """How its ``bbox`` is meant, in pixels."""


@checked
class Download:
    """Where the raw data comes from."""

    source: Literal["sample", "directory", "yolo", "voc", "coco", "huggingface"]
    """Which of the sections below counts; yolo and voc are folders at ``directory.path``."""
    sample: SampleSource
    directory: DirectorySource
    coco: CocoSource
    huggingface: HuggingFaceSource


@checked
class Inspect:
    """Statistics and pictures of the data."""

    pictures: Count
    """How many images of each split are drawn."""


@checked
class Evaluate:
    """How a model is scored."""

    split: Literal["val", "test"]
    """What it is scored on."""
    score_threshold: Probability | None
    """Predictions below it are dropped, and those after the 100 best of an image; None for the
    model's own threshold and number, and images one by one with all their pixels, as torchvision's
    published scores come from."""
    pictures: Count
    """How many images are drawn with ground truth beside predictions."""


@checked
class Register:
    """What makes a model good enough."""

    model_name: Annotated[str, Field(min_length=1, pattern=r"^[\w-]([\w .-]*[\w-])?$")]
    """The registered model in MLflow."""
    thresholds: dict[str, float]
    """Metric -> the least that is accepted; AP_person is the AP of the category person."""
    promote_metric: str
    """The metric that `cocopipe promote` compares, one of the same; more is better."""
    promote_confidence: Annotated[float, Field(gt=0, lt=1)] | None
    """Share of resamples of the images in which the gain has to hold; None: its sign is enough."""


@checked
class Machine:
    """How and where; changes of it rerun nothing."""

    workers: Count
    """Processes or threads that read and write data."""
    device: str
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""
    processes: Positive
    """Processes that train together on this machine, one a GPU, or some on a CPU: each has its
    share of every batch."""
    micro_batch: Positive | None
    """Images that go through the network at once, of one process, where memory is short; None for
    all that it has of a batch."""
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None
    """Minutes from one checkpoint of a training to the next; None: it starts over when stopped."""


@checked
class Tracking:
    """What MLflow gets; changes of it rerun nothing."""

    experiment: Annotated[str, Field(min_length=1)]
    """The experiment that runs go to."""
    images: Literal["none", "preview", "all"]
    """Images beside a training run: none, a sheet of some, or every file."""
    offline: Literal["refuse", "allow"]
    """Whether a stage may begin while the tracking server does not answer."""
    torch_model: bool
    """Whether a model has the pickled torch module too, for ``mlflow.pytorch.load_model``."""


@checked
class Params:
    """All of ``params.yaml``: a section for each stage, and two for how and where."""

    download: Download
    convert: ConvertSettings
    inspect: Inspect
    train: Training
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
    missing = [
        ".".join(map(str, each["loc"])) for each in error.errors() if each["type"] in _MISSING
    ]
    if came := [key for key in CAME_LATER if key in missing]:
        lines = [f"{key.rpartition('.')[2]}: {CAME_LATER[key]}".rstrip() for key in came]
        is_older = any(key in CAME_WITH_LAYOUT_2 for key in came)
        reader = f", or use commit {_READS_OLDER} of cocopipe, which reads it as it is"
        return (
            f"{name} has no {', '.join(came)}: add {'; '.join(lines)}, as this version's own"
            f" params.yaml has them{reader if is_older else ''}."
        )
    unknown = "unexpected_keyword_argument"
    first, *more = sorted(error.errors(), key=lambda each: each["type"] != unknown)
    key = ".".join(str(part) for part in first["loc"] if part not in _UNION_BRANCHES)
    match first["type"]:
        case "unexpected_keyword_argument":
            what = f"{key} is unknown; check its spelling"
        case each if each in _MISSING:
            what = f"{key} is missing; give it a value"
        case _:
            message = first["msg"]
            what = f"{key} is {first['input']!r}; {message[0].lower()}{message[1:]}"
    return f"{name}: {what}{f' (and {len(more)} more)' if more else ''}."


_MISSING = ("missing", "missing_argument")

_READS_OLDER = "fc238ed"
"""The last commit of this project that these keys are no part of."""

CAME_WITH_LAYOUT_2 = {
    "convert.splits": "{}",
    "convert.test_fraction": "0.0",
    "convert.group": "",
    "convert.shard_mb": "2.0",
    "evaluate.split": "val",
}
"""Keys that an older params.yaml lacks -> what they are to say for things to stay as they were."""

CAME_LATER = {
    **CAME_WITH_LAYOUT_2,
    "train.eval_epochs": "1",
    "train.select": "last",
    "train.patience": "",
    "train.ema": "",
    "train.trainable_layers": "",
    "train.compile": "false",
    "train.sync_norms": "false",
    "train.optimizer.backbone_rate": "1.0",
    "train.augment.multi_scale": "",
    "register.promote_confidence": "",
    "machine.processes": "1",
    "machine.micro_batch": "",
    "machine.checkpoint_minutes": "10.0",
    "tracking.offline": "refuse",
    "tracking.torch_model": "false",
}
"""The same for all keys that an older params.yaml may lack."""

_UNION_BRANCHES = ("int", "float", "list[float]", "list", "none")
"""Pydantic puts the branch of a union that failed into the place of an error."""
