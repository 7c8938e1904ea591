"""Detection networks by name, without weights, and the surgery that fits them to a dataset."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn
from torchvision import models
from torchvision.models._api import WeightsEnum
from torchvision.ops import FrozenBatchNorm2d

from cocopipe.detect.network.fcos_tiny import fcos_tiny
from cocopipe.errors import UserError

Size = tuple[int, int]
"""Shorter side of an image as the network sees it, and upper limit of the longer; pixels."""


class Head(NamedTuple):
    """What a network gives for an object."""

    classes: int
    """How many, background included."""
    keypoints: int | None
    """How many; None where it tells none."""


def architectures() -> list[str]:
    """Return the names of the detectors that can be built, sorted."""
    return sorted(["fcos_tiny", *models.list_models(module=models.detection)])


def check(architecture: str, image_size: int | None) -> None:
    """Refuse what can't be built.

    Raises:
        UserError: unknown architecture, or a size for one whose size is fixed.
    """
    if architecture not in architectures():
        raise UserError(
            f"model {architecture!r} is unknown: use one of {', '.join(architectures())}"
        )
    if architecture.startswith("ssd") and image_size is not None:
        raise UserError(
            f"model {architecture!r} has a fixed input size: set image_size to null "
            f"instead of {image_size}"
        )


def published_weights(architecture: str) -> dict[str, WeightsEnum]:
    """Return torchvision's weights of an architecture by name, ``DEFAULT`` included."""
    if architecture == "fcos_tiny":
        return {}
    return dict(models.get_model_weights(architecture).__members__)


def empty(architecture: str, head: Head, size: Size | None) -> nn.Module:
    """Build a network with random weights; ``size`` None: its own."""
    module: nn.Module
    if architecture == "fcos_tiny":
        module = fcos_tiny(num_classes=head.classes, **_sizes(size))
    else:
        module = models.get_model(
            architecture,
            weights=None,
            weights_backbone=None,
            num_classes=head.classes,
            **({} if head.keypoints is None else {"num_keypoints": head.keypoints}),
            **_sizes(size),
        )
    return module


def pretrained(architecture: str, weights: WeightsEnum, size: Size | None) -> nn.Module:
    """Build a network with torchvision's weights, its first layers and norms frozen."""
    module: nn.Module = models.get_model(architecture, weights=weights, **_sizes(size))
    return module


def size_of(module: nn.Module) -> Size:
    """Return the size that images are brought to by the module itself."""
    transform: Any = module.transform
    return transform.min_size[-1], transform.max_size


def frozen_norm_eps(module: nn.Module) -> float | None:
    """Return the epsilon of the module's frozen batch norms, None where there are none."""
    frozen = (part for part in module.modules() if isinstance(part, FrozenBatchNorm2d))
    return next((float(part.eps) for part in frozen), None)


def freeze_norms(module: nn.Module, eps: float) -> None:
    """Replace every batch norm by one whose statistics and weights are constants.

    torchvision does so in a pretrained backbone, because the batches of a detector are too
    small for statistics.
    """
    for name, part in module.named_children():
        if isinstance(part, nn.BatchNorm2d):
            setattr(module, name, FrozenBatchNorm2d(part.num_features, eps=eps))
        else:
            freeze_norms(part, eps)


def classes_in(state: Mapping[str, Tensor], module: nn.Module, num_classes: int) -> int:
    """Return the classes of the head that ``state`` was saved from.

    In every layer that depends on the classes, the outputs are a multiple of their number.

    Args:
        state: Weights of this architecture with another number of classes.
        module: The architecture with ``num_classes``.
        num_classes: Classes of ``module``, background included.
    """
    for name, own in module.state_dict().items():
        if name in state and state[name].shape != own.shape:
            return int(state[name].shape[0] * num_classes // own.shape[0])
    return num_classes


def keypoints_in(state: Mapping[str, Tensor]) -> int | None:
    """Return how many keypoints a head tells that ``state`` was saved from; None: it tells none."""
    name = "roi_heads.keypoint_predictor.kps_score_lowres.weight"  # [features, keypoints, 4, 4]
    return state[name].shape[1] if name in state else None


def replace_head(module: nn.Module, fresh: nn.Module) -> None:
    """Put into ``module`` those layers of ``fresh`` whose shape is another.

    So it is where it depends on the classes or the keypoints.

    Both are of one architecture; the rest of the head stays as it was.
    """
    for name, new in list(fresh.named_modules()):
        old = module.get_submodule(name)
        for count in ("num_classes", "num_columns"):
            if hasattr(new, count):
                setattr(old, count, getattr(new, count))
        if (
            isinstance(new, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
            and new.weight.shape != old.weight.shape
        ):
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, new)


def _sizes(size: Size | None) -> dict[str, int]:
    return {} if size is None else {"min_size": size[0], "max_size": size[1]}
