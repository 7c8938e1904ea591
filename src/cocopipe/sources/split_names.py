"""Which split of a dataset the images of a folder or a list are, by what that is called."""

import re
from pathlib import PurePosixPath

ALL = "all"
"""The split of images of which nothing tells one."""

PLAIN = frozenset(
    {
        *("annotation", "annotations", "label", "labels", "xml", "xmls"),
        *("data", "dataset", "image", "images", "img", "imgs", "jpegimages"),
    }
)
"""Folders whose names, in small letters, tell no split."""

_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "trainval": "trainval",
    "train_val": "trainval",
}
"""What tools call splits, and what they mean."""

_NUMBERED = re.compile(rf"({'|'.join(_WORDS)})\d+")
_LONGER = re.compile(rf"({'|'.join(_WORDS)})[\W\d_].*", re.DOTALL)


def word_of(name: str) -> str | None:
    """Train, val, test or trainval, where a name is a word for that; else None.

    CVAT's folders for YOLO are called ``obj_train_data``.
    """
    return _WORDS.get(name.lower().removeprefix("obj_").removesuffix("_data"))


def told(folder: PurePosixPath) -> tuple[str, ...]:
    """The parts of a folder's path that may tell something of what is in it."""
    return tuple(part for part in folder.parts if part.lower() not in PLAIN)


def split_of(folder: PurePosixPath) -> tuple[str, PurePosixPath]:
    """The split of a folder of images, and where it begins.

    The word for a split wins over what begins so, that over any other name, and the innermost
    over those around it; ``images/train/cam1`` is of the split that begins at ``images/train``.
    """
    parts = folder.parts
    place = _place(parts)
    if place is None:
        return ALL, folder
    is_before_images = place + 1 < len(parts) and parts[place + 1].lower() in PLAIN
    base = PurePosixPath(*parts[: place + 1 + is_before_images])
    return word_of(parts[place]) or parts[place], base


def role_of(name: str) -> str | None:
    """The word that a name is or begins with: train of train2017 and of train_images."""
    longer = _LONGER.fullmatch(name.lower())
    return word_of(name) or (_WORDS[longer[1]] if longer else None)


def _place(parts: tuple[str, ...]) -> int | None:
    places = [place for place in range(len(parts)) if parts[place].lower() not in PLAIN]
    return max(places, key=lambda place: (_rank(parts[place]), place), default=None)


def _rank(name: str) -> int:
    """How surely a name is a split's."""
    if word_of(name):
        return 3
    if _NUMBERED.fullmatch(name.lower()):
        return 2
    return 1 if role_of(name) else 0
