"""Random changes to training images and their boxes."""

from collections.abc import Callable

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from cocopipe.detect.reading.images import Target
from cocopipe.detect.settings import Augment

Augmentation = Callable[[Tensor, Target], tuple[Tensor, Target]]
"""A function that takes an image, uint8 [3, H, W], and its target, and gives others.

It draws from torch's global generator."""

FILL = (124, 116, 104)
"""RGB of ImageNet's mean, which is 0 once a detector has normalised it."""


def augmentation(settings: Augment) -> Augmentation | None:
    """Make the augmentation that ``settings`` describe; None where they ask for nothing.

    A crop keeps a minimal IoU with some box, as SSD is trained. The scale is a zoom about the
    image's centre that keeps the image's size. A random *resize* would do nothing: the detector
    resizes every image to its own input size.

    Returns:
        A function of a uint8 image [3, H, W] and its target, drawing from torch's global
        generator. Boxes that leave the image or shrink below a pixel go, together with
        every other field of their objects.
    """
    steps: list[v2.Transform] = []
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
        steps.append(v2.RandomHorizontalFlip(p=settings.horizontal_flip))
    if not steps:
        return None
    pipeline = v2.Compose(
        [*steps, v2.ClampBoundingBoxes(), v2.SanitizeBoundingBoxes(labels_getter=_other_fields)]
    )
    return _Pipeline(pipeline)


def magnifies(settings: Augment) -> bool:
    """Whether that augmentation may show a part of an image larger than the detector would."""
    return settings.crop > 0 or (settings.scale is not None and settings.scale[1] > 1)


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
