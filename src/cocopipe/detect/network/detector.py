"""Detectors: built by name for a dataset's categories, saved, and loaded again."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from cocopipe.detect.network import architectures as nets
from cocopipe.detect.network import weights as initial
from cocopipe.detect.network.architectures import Head, Size
from cocopipe.detect.network.parts import Keypoints, Part, parts_of
from cocopipe.detect.seeds import seeded
from cocopipe.errors import UserError
from cocopipe.files import write_json

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class LearntCategory:
    """A category of the dataset, and the output of the head that stands for it."""

    label: int
    """Index of the head's output; 0 is the background."""
    id: int
    """Category id of the dataset."""
    name: str
    """Category name of the dataset."""


@dataclass(frozen=True)
class ModelConfig:
    """All that it takes, beside the weights, to build a detector again."""

    architecture: str
    """A name of `architectures`."""
    min_size: int
    """Shorter side of an image as the network sees it, pixels."""
    max_size: int
    """Upper limit of its longer side, pixels."""
    num_classes: int
    """Outputs of the head, background included; a kept head may have more than categories."""
    frozen_norm_eps: float | None
    """Epsilon of the frozen batch norms of a pretrained backbone; None where norms train."""
    categories: tuple[LearntCategory, ...]
    """The categories that it learns, in the dataset's order."""
    keypoints: Keypoints | None = None
    """The points that it tells of each object; None where it tells none."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What it tells of an object, boxes first."""
        return parts_of(self.architecture)

    @property
    def needs_masks(self) -> bool:
        """Whether training targets must carry masks."""
        return Part.MASK in self.parts

    @property
    def head(self) -> Head:
        """What it gives for an object."""
        return Head(self.num_classes, self.keypoint_count)

    @property
    def keypoint_count(self) -> int | None:
        """How many keypoints training targets must carry of each object; None: they need none."""
        return None if self.keypoints is None else len(self.keypoints.names)

    @property
    def labels(self) -> dict[int, int]:
        """Label by category id."""
        return {category.id: category.label for category in self.categories}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "ModelConfig":
        """Read what `dataclasses.asdict` wrote."""
        categories = tuple(LearntCategory(**category) for category in value["categories"])
        points = value.get("keypoints")
        keypoints = None if points is None else Keypoints.from_dict(points)
        return cls(**{**value, "categories": categories, "keypoints": keypoints})


@dataclass(frozen=True)
class Detector:
    """A torchvision detection module and what its numbers mean."""

    module: nn.Module
    """Takes a list of float images [3, H, W] in 0..1; in training also a list of targets."""
    config: ModelConfig


@dataclass(frozen=True)
class _Start:
    """A network before it is fitted to a dataset."""

    module: nn.Module
    head: Head
    known: Mapping[tuple[int, str], int]
    """Label by (category id, name), as far as the head has learnt any."""


def build(
    architecture: str,
    *,
    categories: Sequence[Mapping[str, Any]],
    weights: str | Path,
    image_size: int | None,
    seed: int,
) -> Detector:
    """Make a detector for a dataset's categories.

    Where the initial weights know every category (same id and name), their head and labels
    stay; for torchvision's COCO weights the label is then the category id. Else labels are
    1..K in the order of the categories, and the layers whose shape depends on K are new.

    Args:
        architecture: A name of `architectures`.
        categories: COCO categories; ``id`` and ``name`` are used, of a detector of keypoints
            ``keypoints`` and ``skeleton`` too.
        weights: ``none``, ``DEFAULT``, ``COCO_V1``, or a path: a folder that `save` wrote,
            a ``.safetensors`` file, or a state dict saved by torch.
        image_size: Shorter side of images as the network sees them, pixels; the longer one
            is limited to 5/3 of it, like torchvision's 800 to 1333. None: the
            architecture's own, or that of the folder.
        seed: For the weights that are new.

    Raises:
        UserError: unknown architecture or weights, weights that can't be had or don't fit,
            a size where it is fixed, no categories, or none with keypoints where it takes some.
    """
    nets.check(architecture, image_size)
    if not categories:
        raise UserError(f"model {architecture!r} can't be built: the dataset has no categories")
    keys = [(int(category["id"]), str(category["name"])) for category in categories]
    tells_points = Part.KEYPOINTS in parts_of(architecture)
    points = Keypoints.of(categories, architecture) if tells_points else None
    size = None if image_size is None else (image_size, image_size * 1333 // 800)
    wanted = Head(len(keys) + 1, None if points is None else len(points.names))
    with seeded(seed):
        start = _start(architecture, str(weights), size, wanted)
        if start.known and all(key in start.known for key in keys):
            labels = [start.known[key] for key in keys]
            wanted = wanted._replace(classes=start.head.classes)
        else:
            labels = list(range(1, len(keys) + 1))
        if start.head != wanted:
            nets.replace_head(start.module, nets.empty(architecture, wanted, size))
    min_size, max_size = nets.size_of(start.module)
    learnt = [LearntCategory(label, *key) for label, key in zip(labels, keys, strict=True)]
    return Detector(
        start.module,
        ModelConfig(
            architecture=architecture,
            min_size=min_size,
            max_size=max_size,
            num_classes=wanted.classes,
            frozen_norm_eps=nets.frozen_norm_eps(start.module),
            categories=tuple(learnt),
            keypoints=points,
        ),
    )


def save(detector: Detector, out: Path) -> None:
    """Write ``model.safetensors`` and ``config.json`` into the folder ``out``.

    The same detector gives the same bytes.
    """
    state = detector.module.state_dict()
    weights = {name: part.detach().cpu().contiguous() for name, part in state.items()}
    # Not save_file, whose errors are no OSError when the disk is full.
    (out / WEIGHTS_FILE).write_bytes(safetensors.torch.save(weights))
    write_json(out / CONFIG_FILE, asdict(detector.config))


def load(path: Path, device: torch.device) -> Detector:
    """Read what `save` wrote; the module comes ready for predictions.

    Raises:
        UserError: no such folder, or its files are damaged or don't belong together.
    """
    config = read_config(path)
    detector = _restore(path, config, (config.min_size, config.max_size))
    detector.module.to(device).eval()
    return detector


def read_config(path: Path) -> ModelConfig:
    """Read what a detector is, without its weights.

    Raises:
        UserError: no such folder, or no such file in it.
    """
    file = path / CONFIG_FILE
    try:
        return ModelConfig.from_dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} holds no {CONFIG_FILE}: give a folder that the train stage wrote"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"{file} isn't the configuration of a detector: train again, or restore it "
            "with dvc checkout"
        ) from error


def own_threshold(module: nn.Module) -> float:
    """Return below which score a module leaves out what it finds, where nothing replaces that."""
    heads: Any = getattr(module, "roi_heads", module)
    return float(heads.score_thresh)


@contextmanager
def limited(module: nn.Module, *, score_threshold: float, most: int) -> Iterator[None]:
    """Replace the module's own limits of what it returns, for a while.

    Args:
        module: Of a detector.
        score_threshold: Leaves out what scores lower.
        most: How many an image has at most, the best first.
    """
    heads: Any = getattr(module, "roi_heads", module)
    own = heads.score_thresh, heads.detections_per_img
    heads.score_thresh, heads.detections_per_img = score_threshold, most
    try:
        yield
    finally:
        heads.score_thresh, heads.detections_per_img = own


def _start(architecture: str, weights: str, size: Size | None, wanted: Head) -> _Start:
    if weights == "none":
        return _Start(nets.empty(architecture, wanted, size), wanted, {})
    published = nets.published_weights(architecture)
    if weights in published:
        initial.download(published[weights])
        module = nets.pretrained(architecture, published[weights], size)
        return _Start(module, *_meaning(architecture))
    path = Path(weights)
    if path.is_dir():
        return _start_from_folder(architecture, path, size)
    if path.is_file():
        return _start_from_file(architecture, path, size, wanted)
    raise UserError(
        f"weights {weights!r} are neither a path that exists nor among those of {architecture}: "
        f"use {', '.join(['none', *published])}, or a path"
    )


def _meaning(architecture: str) -> tuple[Head, dict[tuple[int, str], int]]:
    """Return the head of torchvision's weights and label by (id, name).

    Their labels are the category ids of COCO, with gaps ("N/A") where ids are unused.
    """
    published = nets.published_weights(architecture)
    meta = published["DEFAULT"].meta if published else {}
    names = meta.get("categories", [])
    points = len(meta["keypoint_names"]) if "keypoint_names" in meta else None
    return Head(len(names), points), {(label, name): label for label, name in enumerate(names)}


def _start_from_folder(architecture: str, path: Path, size: Size | None) -> _Start:
    config = read_config(path)
    if config.architecture != architecture:
        raise UserError(
            f"weights {path} are of {config.architecture}, not of {architecture}: "
            "change the model or the weights"
        )
    detector = _restore(path, config, size or (config.min_size, config.max_size))
    known = {(category.id, category.name): category.label for category in config.categories}
    return _Start(detector.module, config.head, known)


def _start_from_file(architecture: str, path: Path, size: Size | None, wanted: Head) -> _Start:
    state = initial.read(path)
    alike = wanted._replace(keypoints=nets.keypoints_in(state) or wanted.keypoints)
    classes = nets.classes_in(state, nets.empty(architecture, alike, size), wanted.classes)
    own = alike._replace(classes=classes)
    module = nets.empty(architecture, own, size)
    # A frozen norm has no counter of batches: this is how a file tells.
    if not any(name.endswith("num_batches_tracked") for name in state):
        nets.freeze_norms(module, eps=1e-5)
    _fill(module, state, path, architecture)
    published, known = _meaning(architecture)
    return _Start(module, own, known if own.classes == published.classes else {})


def _restore(path: Path, config: ModelConfig, size: Size) -> Detector:
    with torch.random.fork_rng(devices=[]):
        fixed = config.architecture.startswith("ssd")
        module = nets.empty(config.architecture, config.head, None if fixed else size)
    if config.frozen_norm_eps is not None:
        nets.freeze_norms(module, config.frozen_norm_eps)
    _fill(module, initial.read(path / WEIGHTS_FILE), path, config.architecture)
    return Detector(module, config)


def _fill(
    module: nn.Module, state: Mapping[str, torch.Tensor], path: Path, architecture: str
) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UserError(
            f"weights {path} don't fit the architecture {architecture}: "
            "change the model or the weights"
        ) from error
