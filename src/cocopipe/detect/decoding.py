"""Image files to tensors."""

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from cocopipe.coco.pictures import jpeg_size
from cocopipe.coco.pixels import rgb

Buffer = bytes | memoryview
"""An image file."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, maybe reduced."""

    pixels: Tensor
    """uint8 [3, H, W] in RGB, as stored (no EXIF turn)."""
    height: int
    """Of the image as stored, pixels."""
    width: int

    @property
    def is_reduced(self) -> bool:
        """Whether it has fewer pixels than are stored."""
        return self.pixels.shape[1:] != (self.height, self.width)

    @property
    def scale(self) -> tuple[float, float]:
        """Reduced by stored size, of x and of y."""
        return self.pixels.shape[2] / self.width, self.pixels.shape[1] / self.height


def decode(data: Buffer, *, shortest_side: int | None = None) -> Decoded:
    """Decode an image file.

    Args:
        data: the file.
        shortest_side: what its shorter side needs at least, pixels. A JPEG of at least twice
            that is decoded to a half, a quarter or an eighth, from fewer coefficients
            (libjpeg's scaled DCT): three quarters of the pixels and more are never made.

    Raises:
        ValueError: not an image, or a damaged one.
    """
    if not len(data):
        raise ValueError("it is empty")
    size = jpeg_size(data) if shortest_side else None
    if size is not None and shortest_side and min(size) >= 2 * shortest_side:
        return _reduced(data, size, shortest_side)
    pixels = _whole(data)
    return Decoded(pixels, *pixels.shape[1:])


def _whole(data: Buffer) -> Tensor:
    try:
        # A copy, because torch wants a buffer it may write to.
        pixels: Tensor = decode_image(
            torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB
        )
    except RuntimeError:
        return _by_pillow(data)
    if pixels.dim() != 3:  # animated
        return _by_pillow(data)
    if pixels.dtype == torch.uint16:
        return (pixels.int() >> 8).to(torch.uint8)
    return pixels


def _reduced(data: Buffer, size: tuple[int, int], shortest_side: int) -> Decoded:
    # torchvision's decoder always makes all pixels.
    width, height = size
    return Decoded(_by_pillow(data, draft=(shortest_side, shortest_side)), height, width)


def _by_pillow(data: Buffer, draft: tuple[int, int] | None = None) -> Tensor:
    """Decode what torchvision doesn't: BMP, TIFF, the first of many frames, a reduced JPEG."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if draft is not None:
                image.draft(None, draft)
            pixels = np.array(rgb(image))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
