"""What a picture is called whatever tool it went through, so that its place is the same.

Annotation tools put pictures into other folders, and something before or behind their names.
"""

import posixpath
import re
import unicodedata
from collections.abc import Sequence

from cocopipe.coco.names import IMAGE_SUFFIXES
from cocopipe.coco.paths import path_of

LONGEST = 200
"""Characters of a canonical name; file systems take names of 255 bytes."""

DIGITS = 12
"""How many digits a number has at least, so that numbers sort as such; as COCO names images."""

_UPLOADED = re.compile(r"^(?:(?=[0-9]*[a-f])[0-9a-f]{8}-)+(?=[^.])")
"""What Label Studio puts before the name of an uploaded file, each time."""

_DATE = re.compile(r"^[0-9]{8}-(?=[^.])")
"""That without a letter, as one of forty is; or a date."""

_SUFFIXES = "|".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
_VERSIONED = re.compile(
    rf"^(.+)_(?:{_SUFFIXES})[.-]rf[.-][0-9a-z]{{16,}}$", re.IGNORECASE | re.DOTALL
)
"""A name as Roboflow writes it into a version of a dataset, without its suffix."""

_NUMBER = re.compile("[0-9]+")
_OTHER = re.compile("[^a-z0-9]")


def are_uploaded(file_names: Sequence[str]) -> bool:
    """Whether Label Studio wrote these names, as it did if most begin as only it has them."""
    return 2 * sum(_UPLOADED.match(_stem(name)) is not None for name in file_names) > len(
        file_names
    )


def undecorated(file_name: str, *, is_uploaded: bool = False) -> str:
    """The path of a picture without what tools add to its name, and without its suffix.

        >>> undecorated("train/1a2b3c4d-dog.jpg")
        'train/dog'
        >>> undecorated("dog_jpg.rf.0123456789abcdef0123456789abcdef.jpg")
        'dog'

    Args:
        file_name: As written in a document.
        is_uploaded: Whether eight digits before a hyphen are Label Studio's too, not a date.
    """
    stem = _stem(file_name)
    without = _UPLOADED.sub("", stem)
    if is_uploaded and without == stem:
        without = _UPLOADED.sub("", _DATE.sub("", stem))
    return posixpath.join(posixpath.dirname(path_of(file_name)), without)


def _stem(file_name: str) -> str:
    """The last part of a name without its suffix, and without what Roboflow put behind it."""
    stem = posixpath.splitext(posixpath.basename(path_of(file_name)))[0]
    while version := _VERSIONED.match(stem):
        stem = version[1]
    return stem


def canonical(file_name: str, *, is_uploaded: bool = False) -> str:
    """The name that a picture has its place in the store by; plain text, fit for a file's name.

    Folders, suffix, letter case, punctuation and what tools add are off. In the order of these
    names, numbers are in their own.

        >>> canonical("a/Dog (7).JPG"), canonical("1a2b3c4d-dog_12.jpg")
        ('dog-000000000007', 'dog-000000000012')

    Args:
        file_name: As written in a document.
        is_uploaded: As of `undecorated`.
    """
    stem = posixpath.basename(undecorated(file_name, is_uploaded=is_uploaded))
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", stem).casefold())
    padded = _NUMBER.sub(lambda number: number[0].lstrip("0").zfill(DIGITS), folded)
    spelled = _OTHER.sub(_spelled, padded)
    return re.sub("-+", "-", spelled).strip("-")[:LONGEST] or "-"


def _spelled(other: re.Match[str]) -> str:
    return f"={ord(other[0]):04x}" if other[0].isalnum() else "-"
