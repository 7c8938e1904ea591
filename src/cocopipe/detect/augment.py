"""Random changes to training images and their boxes."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from cocopipe.errors import UserError

Target = dict[str, Tensor]
Augment = Callable[[Tensor, Target], tuple[Tensor, Target]]

PER_OBJECT = ("boxes", "labels", "area", "iscrowd", "masks")
"""Fields of a target that have one entry an object."""

PROBABILITIES = ("horizontal_flip", "photometric", "crop")
FILL = (124, 116, 104)
"""RGB of ImageNet's mean, which is 0 once a detector has normalised it."""


def augmentation(settings: Mapping[str, Any]) -> Augment | None:
    """Make the augmentation that ``settings`` describe; None where they ask for nothing.

    Args:
        settings: Any of ``horizontal_flip``, ``photometric`` (brightness, contrast, hue,
            saturation) and ``crop`` (a part that keeps a minimal IoU with some box, as SSD
            is trained), each with its probability, and ``scale``: [least, most], a zoom
            about the image's centre that keeps the image's size. A random *resize* would
            do nothing: the detector resizes every image to its own input size.

    Returns:
        A function of a uint8 image [3, H, W] and its target, drawing from torch's global
        generator. Boxes that leave the image or shrink below a pixel go, together with
        every other field of their objects.

    Raises:
        UserError: an unknown key or a value out of range.
    """
    for key, value in settings.items():
        _check(key, value)
    scale = settings.get("scale")
    steps: list[v2.Transform] = []
    if settings.get("photometric"):
        steps.append(v2.RandomPhotometricDistort(p=settings["photometric"]))
    if scale is not None and list(scale) != [1, 1]:
        steps.append(
            v2.RandomAffine(
                degrees=0,
                scale=tuple(scale),
                interpolation=v2.InterpolationMode.BILINEAR,
                fill={tv_tensors.Image: FILL, "others": 0},
            )
        )
    if settings.get("crop"):
        steps.append(v2.RandomApply([v2.RandomIoUCrop()], p=settings["crop"]))
    if settings.get("horizontal_flip"):
        steps.append(v2.RandomHorizontalFlip(p=settings["horizontal_flip"]))
    if not steps:
        return None
    pipeline = v2.Compose(
        [*steps, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(labels_getter=_other_fields)]
    )
    return _Pipeline(pipeline)


def magnifies(settings: Mapping[str, Any]) -> bool:
    """Whether that augmentation may show a part of an image larger than the detector would."""
    scale = settings.get("scale")
    return bool(settings.get("crop")) or (scale is not None and scale[1] > 1)


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
        image, typed = self._pipeline(tv_tensors.Image(image), typed)
        plain = {name: part.as_subclass(Tensor) for name, part in typed.items()}
        return image.as_subclass(Tensor), plain


def _other_fields(inputs: tuple[Tensor, Target]) -> tuple[Tensor, ...]:
    _, target = inputs
    return tuple(target[name] for name in ("labels", "area", "iscrowd"))


def _check(key: str, value: Any) -> None:
    if key in PROBABILITIES:
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UserError(f"augment.{key} is {value!r}: give a probability from 0 to 1")
    elif key == "scale":
        if value is not None and not _is_range(value):
            raise UserError(
                f"augment.scale is {value!r}: give [least, most] with 0 < least <= most, or null"
            )
    else:
        raise UserError(f"augment.{key} is unknown: use {', '.join(PROBABILITIES)} or scale")


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(part, int | float) for part in value)
        and 0 < value[0] <= value[1]
    )
