"""Names of splits and files that become paths."""

import re

from cocopipe.errors import UserError

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def is_plain(name: str) -> bool:
    """Tell whether ``name`` is safe as a file name: no separator, no leading dot, no space."""
    return _PLAIN.fullmatch(name) is not None


def require_split_name(name: str) -> None:
    """Refuse a split name that can't be the name of a folder of its own.

    Raises:
        UserError: ``name`` holds a separator, a space or another special character, begins
            with a dot, or is a folder name that has another meaning.
    """
    if not is_plain(name) or name in ("annotations", "images"):
        raise UserError(
            f"{name!r} can't be the name of a split: use letters, digits, '_', '-' and '.', "
            "and neither 'annotations' nor 'images'."
        )
