"""Pictures of any kind as 8-bit RGB."""

import numpy as np
from PIL import Image


def rgb(image: Image.Image) -> Image.Image:
    """A copy of ``image`` in RGB, its pixels as stored (no EXIF turn)."""
    if image.mode.startswith("I;16"):
        # Pillow would cut off at 255 instead of taking the upper eight bits.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")
