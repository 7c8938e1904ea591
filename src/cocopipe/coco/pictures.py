"""Image bytes: whether they are a whole picture, and its pixels."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
"""What is taken for an image, told by content, not by the file's name."""

_END_OF_JPEG = b"\xff\xd9"

# What Pillow's decoders raise on bytes that they can't read.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UnreadableImageError(ValueError):
    """Why bytes are no whole picture."""


def image_size(data: bytes) -> tuple[int, int]:
    """Check that ``data`` is a whole picture and return its stored (width, height).

    A JPEG is whole if it ends with the end-of-image marker, trailing zeros
    aside, or else decodes to its end. PNG has checksums, the rest is decoded.

    Raises:
        UnreadableImageError: it isn't whole, or none of ``FORMATS``.
    """
    with _opened(data) as image:
        if image.format in ("JPEG", "MPO"):
            if not data.rstrip(b"\0").endswith(_END_OF_JPEG):
                image.load()
        elif image.format == "PNG":
            image.verify()
        else:
            image.load()
        return image.size


def decode(data: bytes) -> Image.Image:
    """Decode a picture, its pixels as stored.

    Raises:
        UnreadableImageError: it doesn't decode to its end, or is none of ``FORMATS``.
    """
    with _opened(data) as image:
        image.load()
        return image


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open a picture; what goes wrong with it inside the block is one error."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        message = "it is no JPEG, PNG, WebP, BMP, GIF or TIFF"
        raise UnreadableImageError(message) from None
    except _UNREADABLE as error:
        raise UnreadableImageError(str(error)) from error
