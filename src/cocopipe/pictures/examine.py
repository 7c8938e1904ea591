"""Image bytes: whether they are a whole picture, and its pixels."""

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from cocopipe.pictures.opening import opened, turn_of

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "JPEG2000", "PPM", "HEIF")
"""What is taken for an image, told by content, not by the file's name."""

_END_OF_PNG = b"IEND\xae\x42\x60\x82"
_END_OF_JPEG = b"\xff\xd9"
_START_OF_JPEG = b"\xff\xd8"
_MARKER = 0xFF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITH_LENGTH = frozenset({0xC4, 0xCC, *range(0xDB, 0xF0), 0xFE})  # tables, applications, comments
_EXIF = 0xE1
_SCAN = 0xDA
_FRAME_HEADER = struct.Struct(">HxHH")  # length, precision, height, width

# What Pillow's decoders raise on bytes that they can't read.
UNREADABLE = (
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


@dataclass(frozen=True)
class Examined:
    """What a picture says of itself."""

    size: tuple[int, int]
    """(width, height) in pixels, as stored."""
    turn: int = 1
    """How its EXIF asks viewers to turn or mirror it, by the standard's number; 1: not at all."""

    @property
    def is_turned(self) -> bool:
        """Whether viewers are asked to turn or mirror it."""
        return self.turn != 1


def examine(data: bytes | memoryview, *, decode: bool = False) -> Examined:
    """Check that ``data`` is a whole picture.

    A JPEG is whole if it ends with the end-of-image marker, trailing zeros
    aside, or else decodes to its end. PNG has checksums, the rest is decoded.

    Args:
        data: the file.
        decode: decode it to its end, whatever it is.

    Raises:
        UnreadableImageError: it isn't whole, or none of ``FORMATS``.
    """
    found = _headers_of_jpeg(data) if not decode and _ends_like_a_jpeg(data) else None
    if found is not None:
        return found
    with _opened(data) as image:
        turn = turn_of(image.info.get("exif", b""))
        is_jpeg = image.format in ("JPEG", "MPO")
        if image.format == "PNG" and _END_OF_PNG not in bytes(data):
            raise UnreadableImageError("its end is missing")
        if image.format == "PNG" and not decode:
            image.verify()
        elif decode or not is_jpeg or not _ends_like_a_jpeg(data):
            image.load()
        return Examined(image.size, turn)


def decode(data: bytes) -> Image.Image:
    """Decode a picture, its pixels as stored.

    Raises:
        UnreadableImageError: it doesn't decode to its end, or is none of ``FORMATS``.
    """
    with _opened(data) as image:
        image.load()
        return image


def jpeg_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) in pixels, as stored; None for what is no usual JPEG."""
    found = _headers_of_jpeg(data)
    return None if found is None else found.size


def _ends_like_a_jpeg(data: bytes | memoryview) -> bool:
    for length in (64, len(data)):
        end = bytes(data[-length:]).rstrip(b"\0")
        if end:
            return end.endswith(_END_OF_JPEG)
    return False


def _headers_of_jpeg(data: bytes | memoryview) -> Examined | None:
    """What the segments before the scan of a JPEG say (ITU-T T.81, B.1 and B.2).

    None for anything but a plain sequence of segments up to there: Pillow is to judge that.
    It would take twenty times as long for all of them, and lets only one thread at a time.
    """
    if data[:2] != _START_OF_JPEG:
        return None
    size, turn = None, 1
    place, last = 2, len(data) - 2 - _FRAME_HEADER.size
    while place <= last and data[place] == _MARKER:
        kind = data[place + 1]
        length_bytes, height, width = _FRAME_HEADER.unpack_from(data, place + 2)
        if kind == _SCAN:
            is_usual = size and 0 < size[0] * size[1] <= (Image.MAX_IMAGE_PIXELS or math.inf)
            return Examined(size, turn) if size and is_usual else None
        if kind in _FRAMES:
            size = (width, height)
        elif kind == _EXIF and data[place + 4 : place + 10] == b"Exif\0\0":
            turn = turn_of(bytes(data[place + 4 : place + 2 + length_bytes]))
        elif kind not in _WITH_LENGTH:
            return None
        place += 2 + length_bytes
    return None


@contextmanager
def _opened(data: bytes | memoryview) -> Iterator[Image.Image]:
    """Open a picture; what goes wrong with it inside the block is one error."""
    try:
        with opened(data, FORMATS) as image:
            yield image
    except UnidentifiedImageError:
        message = "it is no JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF, JPEG 2000, PPM or HEIC"
        raise UnreadableImageError(message) from None
    except UNREADABLE as error:
        raise UnreadableImageError(str(error)) from error
