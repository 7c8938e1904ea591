"""What the raw bytes came from."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from cocopipe.coco.names import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Origin:
    """One thing that a source fetched, copied or made; logged with the run.

    Attributes:
        name: What it is called at its source.
        url: Where it came from: a URL without credentials, a path as the user wrote it,
            or ``sample:``.
        size_bytes: How many bytes were taken from there.
        checksum: What determines the bytes: ``md5:…``, ``sha256:…``, ``listing-sha256:…``
            (of names and sizes only) or ``seed:…``.
    """

    name: str
    url: str
    size_bytes: int
    checksum: str


@dataclass(frozen=True)
class Fetched:
    """The raw data that a source gave.

    Attributes:
        images: How many image files, those inside zips too.
        origins: Where the bytes came from.
    """

    images: int
    origins: tuple[Origin, ...]
    notes: tuple[str, ...] = ()
    """What was left out, or is not known."""


def images_in(raw: Path) -> int:
    """Count the image files in a folder and in the zips in it, but hidden ones."""
    names = (PurePath(name) for name in _names(raw))
    return sum(
        name.suffix.lower() in IMAGE_SUFFIXES and not name.name.startswith(".") for name in names
    )


def _names(raw: Path) -> Iterator[str]:
    for path in raw.rglob("*"):
        if not path.is_file():
            continue
        yield path.name
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                yield from archive.namelist()
