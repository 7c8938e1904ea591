"""Turning pictures as EXIF says, where that is how they were annotated.

EXIF numbers the eight ways to turn and mirror a picture; 1 is as it is stored.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDEWAYS = 5
"""From this number on, width and height change places."""

_WAYS: Mapping[int, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What Pillow calls them (its `ImageOps.exif_transpose` has the same table)."""


def turned(image: Image.Image, turn: int) -> Image.Image:
    """The picture as it is to be seen, by EXIF's number."""
    return image.transpose(_WAYS[turn]) if turn in _WAYS else image


def turns(
    annotated: npt.NDArray[Any], stored: npt.NDArray[np.int32], exif: npt.NDArray[np.int8]
) -> npt.NDArray[np.int8]:
    """How files have to be turned to be the pictures that were annotated.

    As EXIF says, where that makes a picture of the annotated size of one that has another.

    Args:
        annotated: width and height as a document says, [N, 2].
        stored: of the files, [N, 2].
        exif: what their EXIF asks for, [N].

    Returns:
        EXIF's numbers, 1 where a picture is taken as it is stored, [N].
    """
    is_other = (annotated != stored).any(axis=1)
    is_turned = is_other & (annotated == stored[:, ::-1]).all(axis=1)
    return np.where(is_turned & (exif >= SIDEWAYS), exif, 1).astype(np.int8)
