"""What COCO data are called wherever they come from, and which names are refused."""

import re
import zipfile
from pathlib import PurePosixPath

BESIDE = "_annotations.coco.json"
"""A document that lies beside its images; its name is ``instances``."""

IMAGE_SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"),
        *(".avif", ".heic", ".heif", ".j2k", ".jp2", ".pbm", ".pgm", ".pnm", ".ppm"),
    }
)
"""What files of images end with that are read, in small letters."""

UNREADABLE_ZIP = (zipfile.BadZipFile, NotImplementedError, ValueError)
"""What zipfile raises on opening bytes that it can't read."""


def is_unicode(text: str) -> bool:
    """Whether UTF-8 holds a text, which it does not if it has halves of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def leads_out(name: str) -> bool:
    """Whether a file name is absolute or climbs out of its folder, on any system."""
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or bool(re.match(r"[A-Za-z]:[\\/]", name))
