"""Names of files as archives and documents spell them."""

import re
from pathlib import PurePosixPath


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
