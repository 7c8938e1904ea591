"""Pictures of any kind as 8-bit RGB."""

import numpy as np
import numpy.typing as npt
from PIL import Image

_TWELVE_BITS = 2**12


def rgb(image: Image.Image) -> Image.Image:
    """A copy of ``image`` in RGB, its pixels as stored (no EXIF turn)."""
    if image.mode == "F":
        image = Image.fromarray(_whole(np.asarray(image)))
    if image.mode.startswith("I"):
        # Pillow would cut off at 255 instead of taking the upper eight bits.
        values = np.maximum(np.asarray(image), 0)
        image = Image.fromarray((values >> lower_bits(int(values.max()))).astype(np.uint8))
    return image.convert("RGB")


def _whole(values: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    """Numbers of a picture as whole ones, of 16 bits where they are from 0 to 1."""
    known = np.nan_to_num(values, posinf=0, neginf=0)
    scaled = known * (2**16 - 1) if known.max() <= 1 else known
    return np.clip(scaled, 0, 2**31 - 1).astype(np.int32)


def lower_bits(largest: int) -> int:
    """How many bits of a picture of 16 or 32 are below the eight that are shown.

    Cameras and scanners write 12 bits into 16: shown as they are, such a picture would be black.

    Args:
        largest: of its values.
    """
    return 4 if largest < _TWELVE_BITS else max(8, largest.bit_length() - 8)
