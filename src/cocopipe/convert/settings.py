"""What a conversion is told, as values."""

from typing import Annotated, Literal

from pydantic import Field

from cocopipe.checked import Positive, checked

Role = Literal["train", "val", "test"]
"""What a split is for."""


@checked
class ConvertSettings:
    """From raw COCO data to image store and annotation tables."""

    splits: dict[str, Role]
    """Splits of the source -> the roles they take, where their names don't tell."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    """Share of the splits for training that becomes val where the source has none, by a hash of
    each picture's bytes."""
    test_fraction: Annotated[float, Field(ge=0, lt=1)]
    """Likewise for test."""
    group: str | None
    """A regular expression on file names: what it matches names a scene, video or patient, whose
    images stay together when a split is divided."""
    shard_mb: Annotated[float, Field(gt=0, le=512)]
    """How large the files of the image store are on average, at most, in MiB."""
    subset: Positive | None
    """How many images to take of each source split, the first in its order; None takes all."""
    on_missing: Literal["error", "skip"]
    """What to do about listed images that are missing: refuse the data, or leave them out."""
    on_mismatch: Literal["keep", "error"]
    """What to do about annotated sizes that are not the file's: keep them, or refuse the data."""
    verify: Literal["header", "decode"]
    """How to tell that an image is whole: by headers and its end, or by decoding all of it.

    Decoders fill in what is missing in the middle of a JPEG, and so does this one."""
