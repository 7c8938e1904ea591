"""What a conversion is told, as values."""

from typing import Annotated, Literal

from pydantic import Field

from cocopipe.checked import Positive, checked


@checked
class ConvertSettings:
    """From raw COCO data to image store and annotation tables."""

    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    """Share of a single split that becomes val, chosen by a hash of the image id."""
    subset: Positive | None
    """How many images to take of each source split, the first in its order; None takes all."""
    on_missing: Literal["error", "skip"]
    """What to do about listed images that are missing: refuse the data, or leave them out."""
    on_mismatch: Literal["keep", "error"]
    """What to do about annotated sizes that are not the file's: keep them, or refuse the data."""
    verify: Literal["header", "decode"]
    """How to tell that an image is whole: by headers and its end, or by decoding all of it.

    Decoders fill in what is missing in the middle of a JPEG, and so does this one."""
