"""Pictures of any kind as 8-bit RGB."""

import numpy as np
from PIL import Image

_TWELVE_BITS = 2**12


def rgb(image: Image.Image) -> Image.Image:
    """A copy of ``image`` in RGB, its pixels as stored (no EXIF turn)."""
    if image.mode.startswith("I;16"):
        # Pillow would cut off at 255 instead of taking the upper eight bits.
        values = np.asarray(image)
        image = Image.fromarray((values >> lower_bits(int(values.max()))).astype(np.uint8))
    return image.convert("RGB")


def lower_bits(largest: int) -> int:
    """How many bits of a picture of 16 are below the eight that are shown.

    Cameras and scanners write 12 bits into 16: shown as they are, such a picture would be black.

    Args:
        largest: of its values.
    """
    return 4 if largest < _TWELVE_BITS else 8
