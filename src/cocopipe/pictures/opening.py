"""Opening pictures with Pillow, and with what it needs for those of phones."""

import io
import struct
from functools import cache
from pathlib import Path

from PIL import Image

HEIF = "HEIF"
"""What Pillow calls the format of HEIC files."""

_ORIENTATION = 0x0112
_NO_EXIF = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
"""What Pillow raises on EXIF that it can't read."""

_BOX = slice(4, 8)
_BRAND = slice(8, 12)
_HEAD_BYTES = 12
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""What such a file says that it is (ISO/IEC 23008-12, Annex B)."""


def opened(data: bytes | memoryview, formats: tuple[str, ...] | None = None) -> Image.Image:
    """Open a picture; to be closed by whoever asks."""
    is_heif = _prepare(bytes(data[:_HEAD_BYTES]))
    if formats is not None and not is_heif:  # which Pillow does not know before it is asked for
        formats = tuple(each for each in formats if each != HEIF)
    return Image.open(io.BytesIO(data), formats=formats)


def opened_file(path: Path) -> Image.Image:
    """Open a picture that lies somewhere, of which no more is read than is asked for."""
    with path.open("rb") as file:
        _prepare(file.read(_HEAD_BYTES))
    return Image.open(path)


def turn_of(exif: bytes) -> int:
    """How EXIF asks viewers to turn a picture, by the standard's number.

    What is no EXIF, as editors leave it, asks for nothing: 1.
    """
    read = Image.Exif()
    try:
        read.load(exif)
        turn = read.get(_ORIENTATION, 1)
    except _NO_EXIF:
        return 1
    return int(turn) if turn in range(1, 9) else 1


def _prepare(head: bytes) -> bool:
    """Have Pillow read what begins like this; whether it is HEIF."""
    is_heif = head[_BOX] == b"ftyp" and head[_BRAND] in _HEIF_BRANDS
    if is_heif:
        _register_heif()
    return is_heif


@cache
def _register_heif() -> None:
    import pi_heif  # for those who have such pictures

    # It turns them as they are to be shown, and says so in what it gives of their EXIF.
    pi_heif.register_heif_opener()
