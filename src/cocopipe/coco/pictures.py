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
_START_OF_JPEG = b"\xff\xd8"
_MARKER = 0xFF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITH_LENGTH = frozenset({0xC4, 0xCC, *range(0xDB, 0xF0), 0xFE})  # tables, applications, comments
_FRAME_HEADER = struct.Struct(">HxHH")  # length, precision, height, width

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


def image_size(data: bytes | memoryview) -> tuple[int, int]:
    """Check that ``data`` is a whole picture and return its stored (width, height).

    A JPEG is whole if it ends with the end-of-image marker, trailing zeros
    aside, or else decodes to its end. PNG has checksums, the rest is decoded.

    Raises:
        UnreadableImageError: it isn't whole, or none of ``FORMATS``.
    """
    size = _size_of_jpeg(data) if _ends_like_a_jpeg(data) else None
    if size is not None:
        return size
    with _opened(data) as image:
        if image.format in ("JPEG", "MPO"):
            if not _ends_like_a_jpeg(data):
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


def _ends_like_a_jpeg(data: bytes | memoryview) -> bool:
    for length in (64, len(data)):
        end = bytes(data[-length:]).rstrip(b"\0")
        if end:
            return end.endswith(_END_OF_JPEG)
    return False


def _size_of_jpeg(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) from the frame header of a JPEG (ITU-T T.81, B.2.2).

    None for anything but a plain sequence of segments up to there: Pillow is to judge that.
    It would take twenty times as long for all of them, and lets only one thread at a time.
    """
    if data[:2] != _START_OF_JPEG:
        return None
    place, last = 2, len(data) - _FRAME_HEADER.size
    while place < last and data[place] == _MARKER:
        kind = data[place + 1]
        length_bytes, height, width = _FRAME_HEADER.unpack_from(data, place + 2)
        if kind in _FRAMES:
            return (width, height) if width and height else None
        if kind not in _WITH_LENGTH:
            return None
        place += 2 + length_bytes
    return None


@contextmanager
def _opened(data: bytes | memoryview) -> Iterator[Image.Image]:
    """Open a picture; what goes wrong with it inside the block is one error."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        message = "it is no JPEG, PNG, WebP, BMP, GIF or TIFF"
        raise UnreadableImageError(message) from None
    except _UNREADABLE as error:
        raise UnreadableImageError(str(error)) from error
