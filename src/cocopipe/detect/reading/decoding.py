"""Image files to tensors."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from simplejpeg import decode_jpeg
from torch import Tensor
from torch.utils.dlpack import from_dlpack
from torchvision.io import ImageReadMode, decode_image

from cocopipe.pictures.examine import UNREADABLE, jpeg_size
from cocopipe.pictures.opening import opened
from cocopipe.pictures.pixels import lower_bits, rgb
from cocopipe.pictures.turning import SIDEWAYS

MOST_REDUCED = 8
"""To an eighth: what libjpeg can do at most."""

File = Tensor
"""An image file: its bytes, uint8 [n]."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image, maybe reduced."""

    pixels: Tensor
    """uint8 [3, H, W] in RGB."""
    height: int
    """Height of the whole image, pixels."""
    width: int
    """Width of the whole image, pixels."""

    @property
    def is_reduced(self) -> bool:
        """Whether it has fewer pixels than the whole image."""
        return self.pixels.shape[1:] != (self.height, self.width)

    @property
    def scale(self) -> tuple[float, float]:
        """Its size by that of the whole image, of x and of y."""
        return self.pixels.shape[2] / self.width, self.pixels.shape[1] / self.height


def decode(file: File, *, shortest_side: int | None = None) -> Decoded:
    """Decode an image file, its pixels as stored.

    Args:
        file: its bytes.
        shortest_side: what its shorter side needs at least, pixels. A JPEG of at least twice
            that is decoded to a half, a quarter or an eighth, from fewer coefficients
            (libjpeg's scaled DCT): three quarters of the pixels and more are never made.

    Raises:
        ValueError: not an image, or a damaged one.
    """
    if not len(file):
        raise ValueError("it is empty")
    size = jpeg_size(file.numpy().data) if shortest_side else None
    if size is not None and shortest_side and min(size) >= 2 * shortest_side:
        return _reduced(file, size, shortest_side)
    pixels = _whole(file)
    return Decoded(pixels, *pixels.shape[1:])


def turned(decoded: Decoded, turn: int) -> Decoded:
    """Turn an image as EXIF's number says; see `cocopipe.pictures.turning`."""
    mirrored = _MIRRORED.get(turn)
    if mirrored is None:
        return decoded
    pixels, height, width = decoded.pixels, decoded.height, decoded.width
    if turn >= SIDEWAYS:
        pixels, height, width = pixels.transpose(1, 2), width, height
    return Decoded(pixels.flip(mirrored).contiguous(), height, width)


_MIRRORED: Mapping[int, tuple[int, ...]] = {
    2: (2,),
    3: (1, 2),
    4: (1,),
    5: (),
    6: (2,),
    7: (1, 2),
    8: (1,),
}
"""Dimensions [3, H, W] that change direction, after height and width changed places."""


def files(images: pa.BinaryArray) -> list[File]:
    """Return the files of a row group, left where they are in memory: not to be written to."""
    _, offsets, data = images.buffers()
    borders = np.frombuffer(offsets, np.int32)[images.offset : images.offset + len(images) + 1]
    every = from_dlpack(pa.Array.from_buffers(pa.uint8(), int(borders[-1]), [None, data]))
    return list(torch.split(every[int(borders[0]) :], np.diff(borders).tolist()))


def _whole(file: File) -> Tensor:
    try:
        pixels: Tensor = decode_image(file, mode=ImageReadMode.RGB)
    except RuntimeError:
        return _by_pillow(file)
    if pixels.dim() != 3:  # animated
        return _by_pillow(file)
    if pixels.dtype == torch.uint16:
        values = pixels.int()
        return (values >> lower_bits(int(values.max()))).to(torch.uint8)
    return pixels


def _reduced(file: File, size: tuple[int, int], shortest_side: int) -> Decoded:
    # torchvision's decoder always makes all pixels.
    width, height = size
    parts = 2
    while parts < MOST_REDUCED and min(size) >= 2 * parts * shortest_side:
        parts *= 2
    wanted = -(-width // parts), -(-height // parts)
    try:
        pixels = decode_jpeg(file.numpy(), min_width=wanted[0], min_height=wanted[1])
    except ValueError:  # CMYK, or not quite sound
        return Decoded(_by_pillow(file, draft=wanted), height, width)
    return Decoded(torch.from_numpy(pixels).permute(2, 0, 1), height, width)


def _by_pillow(file: File, draft: tuple[int, int] | None = None) -> Tensor:
    """Decode what the faster ones don't: BMP, TIFF, HEIC, many frames, CMYK reduced."""
    try:
        with opened(file.numpy().tobytes()) as image:
            if draft is not None:
                image.draft(None, draft)
            pixels = np.array(rgb(image))
    except UNREADABLE as error:
        raise ValueError(" ".join(str(error).split())) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
