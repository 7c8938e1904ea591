"""Random changes to training images and their objects."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from cocopipe.detect.network.parts import Keypoints
from cocopipe.detect.reading.images import Target
from cocopipe.detect.settings import Augment
from cocopipe.errors import some

Augmentation = Callable[[Tensor, Target], tuple[Tensor, Target]]
"""A function that takes an image, uint8 [3, H, W], and its target, and gives others.

It draws from torch's global generator."""

FILL = (124, 116, 104)
"""RGB of ImageNet's mean, which is 0 once a detector has normalised it."""


_log = logging.getLogger(__name__)


def augmentation(settings: Augment, keypoints: Keypoints | None = None) -> Augmentation | None:
    """Make the augmentation that ``settings`` describe; None where they ask for nothing.

    A crop keeps a minimal IoU with some box, as SSD is trained. The scale is a zoom about the
    image's centre that keeps the image's size. A random *resize* would do nothing: the detector
    resizes every image to its own input size; for several see `multi_scale`.

    Args:
        settings: What is asked for.
        keypoints: Those that targets carry, which change sides in a mirror; None: none.

    Returns:
        A function of a uint8 image [3, H, W] and its target, drawing from torch's global
        generator. Boxes that leave the image or shrink below a pixel go, together with
        every other field of their objects; keypoints that leave it are no longer labelled.
    """
    steps: list[torch.nn.Module] = []
    if settings.photometric:
        steps.append(v2.RandomPhotometricDistort(p=settings.photometric))
    if settings.scale is not None and settings.scale != [1, 1]:
        steps.append(
            v2.RandomAffine(
                degrees=0,
                scale=tuple(settings.scale),
                interpolation=v2.InterpolationMode.BILINEAR,
                fill={tv_tensors.Image: FILL, "others": 0},
            )
        )
    if settings.crop:
        steps.append(v2.RandomApply([v2.RandomIoUCrop()], p=settings.crop))
    if settings.horizontal_flip:
        steps.append(_flip(settings.horizontal_flip, keypoints))
    if not steps:
        return None
    pipeline = v2.Compose(
        [*steps, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(labels_getter=_other_fields)]
    )
    return _Pipeline(pipeline)


def magnifies(settings: Augment) -> bool:
    """Whether that augmentation may show a part of an image larger than the detector would."""
    zooms_in = settings.scale is not None and settings.scale[1] > 1
    return settings.crop > 0 or zooms_in or bool(settings.multi_scale)


def _flip(probability: float, keypoints: Keypoints | None) -> torch.nn.Module:
    if keypoints is None:
        flip: torch.nn.Module = v2.RandomHorizontalFlip(p=probability)
        return flip
    if keypoints.mirrored == (*range(len(keypoints.names)),):
        _log.warning(
            "no keypoint changes sides in a mirror, since no two names differ in left and right"
            " alone (%s): if some should, set train.augment.horizontal_flip to 0",
            some([*keypoints.names]),
        )
    return _Mirror(probability, keypoints.mirrored)


class _Mirror(torch.nn.Module):
    """A mirror in which keypoints change sides too: torchvision moves them, and keeps their order.

    So a left eye would stay the first, on the other side.
    """

    def __init__(self, probability: float, mirrored: tuple[int, ...]) -> None:
        super().__init__()
        self._probability, self._mirrored = probability, list(mirrored)

    def forward(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        if torch.rand(1) >= self._probability:
            return image, target
        image, target = v2.RandomHorizontalFlip(p=1)(image, target)
        points = target["keypoints"]
        swapped = tv_tensors.wrap(points.as_subclass(Tensor)[:, self._mirrored], like=points)
        seen = target["visibility"][:, self._mirrored]
        return image, {**target, "keypoints": swapped, "visibility": seen}


class _Pipeline:
    """A class, not a closure, because spawned workers get it pickled."""

    def __init__(self, pipeline: v2.Compose) -> None:
        self._pipeline = pipeline

    def __call__(self, image: Tensor, target: Target) -> tuple[Tensor, Target]:
        typed: Target = {
            **target,
            "boxes": tv_tensors.BoundingBoxes(
                target["boxes"], format="XYXY", canvas_size=image.shape[-2:]
            ),
        }
        if "masks" in target:
            typed["masks"] = tv_tensors.Mask(target["masks"])
        if "keypoints" in target:
            points = target["keypoints"]
            typed["keypoints"] = tv_tensors.KeyPoints(points[..., :2], canvas_size=image.shape[-2:])
            typed["visibility"] = points[..., 2]
        image, typed = self._pipeline(tv_tensors.Image(image), typed)
        plain = {name: part.as_subclass(Tensor) for name, part in typed.items()}
        if "keypoints" in target:
            plain["keypoints"] = _inside(plain["keypoints"], plain.pop("visibility"), image)
        return image.as_subclass(Tensor), plain


def _other_fields(inputs: tuple[Tensor, Target]) -> tuple[Tensor, ...]:
    _, target = inputs
    names = ("labels", "area", "iscrowd", "keypoints", "visibility")
    return tuple(target[name] for name in names if name in target)


def _inside(points: Tensor, visibility: Tensor, image: Tensor) -> Tensor:
    """Join points [N, K, 2] and visibility [N, K]; outside of the image, as COCO has it, all 0."""
    limits = points.new_tensor([image.shape[-1], image.shape[-2]])
    seen = visibility * ((points >= 0) & (points <= limits)).all(-1)
    return torch.cat([points, seen[..., None]], -1) * (seen > 0)[..., None]
