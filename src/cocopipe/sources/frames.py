"""The pixels that labels of an image are about, as it is stored or as it is shown."""

import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from cocopipe.errors import UserError
from cocopipe.pictures.opening import opened_file, turn_of

_SIDEWAYS = 5
"""From this of EXIF's numbers on, width and height change places."""

_UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, EOFError, IndexError, struct.error)
"""What Pillow raises on headers that it can't read."""

_STORED: Mapping[int, Callable[[float, float], tuple[float, float]]] = {
    1: lambda x, y: (x, y),
    2: lambda x, y: (1 - x, y),
    3: lambda x, y: (1 - x, 1 - y),
    4: lambda x, y: (x, 1 - y),
    5: lambda x, y: (y, x),
    6: lambda x, y: (y, 1 - x),
    7: lambda x, y: (1 - y, 1 - x),
    8: lambda x, y: (1 - y, x),
}
"""By EXIF's number: where a point of the picture as shown is stored, in fractions of its sides."""


@dataclass(frozen=True)
class Frame:
    """What pixels of an image are counted in.

    Attributes:
        size: Width and height.
        turn: How viewers turn it, and labels with it, by EXIF's number; 1: not at all.
    """

    size: tuple[int, int]
    turn: int = 1

    def point(self, x: float, y: float) -> tuple[float, float]:
        """In pixels, a point of the picture as shown, in fractions of its sides."""
        x, y = _STORED[self.turn](x, y)
        return x * self.size[0], y * self.size[1]

    def extent(self, width: float, height: float) -> tuple[float, float]:
        """In pixels, the sides of a box in the picture as shown, in fractions of its sides."""
        if self.turn >= _SIDEWAYS:
            width, height = height, width
        return width * self.size[0], height * self.size[1]


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is stored, in pixels.

    Raises:
        UserError: it is none.
    """
    return _look(path)[0]


def frame_of(path: Path) -> Frame:
    """The frame in which COCO can have what was labelled in the picture as viewers show it.

    That is the shown one where its size says so. A mirrored picture has the size of the stored
    one, and so has a square: there it is the stored one.

    Raises:
        UserError: it is no image.
    """
    (width, height), turn = _look(path)
    if turn >= _SIDEWAYS and width != height:
        return Frame((height, width))
    return Frame((width, height), turn)


def _look(path: Path) -> tuple[tuple[int, int], int]:
    """The size of an image as it is decoded, and EXIF's number for how it is then to be turned."""
    try:
        with _of_any_size(), opened_file(path) as image:
            # Pillow turns a TIFF while it decodes, and gives the size that it has then.
            return image.size, 1 if image.format == "TIFF" else turn_of(image.info.get("exif", b""))
    except _UNREADABLE as error:
        raise UserError(f"{path} is no image that can be read: replace or remove it.") from error


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Have Pillow open pictures of any size, which decodes nothing, and say nothing of EXIF."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
