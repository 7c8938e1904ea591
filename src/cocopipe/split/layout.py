"""The number of the layout that a split is written in, and what is said of another one."""

from collections.abc import Mapping

from cocopipe.errors import UserError

LAYOUT = 2
"""What this version writes. It reads this and, from this one on, those that were before it."""

KEY = b"layout"
"""The key in the metadata of every file of a split."""

LAST_OF_FIRST = "fc238ed"
"""The last commit of this project that writes, and reads, the first layout, and its params."""


def number(metadata: Mapping[bytes, bytes] | None) -> int:
    """The layout of a file of a split, by its metadata; the first one has no number."""
    return int((metadata or {}).get(KEY, b"1"))


def require_layout(
    metadata: Mapping[bytes, bytes] | None, where: object, *, is_past: bool = False
) -> None:
    """Accept the metadata of a file of a split.

    Args:
        metadata: of the file.
        where: what it is called in messages.
        is_past: whether it is of a revision, which no stage writes anew.

    Raises:
        UserError: it is of a layout that this version does not read.
    """
    found = number(metadata)
    if found == LAYOUT:
        return
    what = f"{where} is in layout {found}, and this version reads layout {LAYOUT}"
    if found > LAYOUT:
        raise UserError(f"{what}: use the version of cocopipe that wrote it, or a later one")
    anew = "" if is_past else "write it anew, from the same source, with `dvc repro convert`, or "
    raise UserError(f"{what}: {anew}read it with commit {LAST_OF_FIRST} of cocopipe")
