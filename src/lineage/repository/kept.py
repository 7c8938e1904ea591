"""Whether git keeps the bytes of a path, at a commit or in the working tree."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any


def is_in_tree(tree: Any, path: str) -> bool:
    """Whether git keeps the bytes of a path in a commit."""
    try:
        entry = tree[path]
    except KeyError:
        return False
    return entry.type_str == "blob" or _has_visible(entry)


def is_in_list(tracked: Iterable[str], path: str) -> bool:
    """Whether git keeps the bytes of a path in a working tree, given what it tracks there."""
    return any(
        name == path
        or (name.startswith(f"{path}/") and not PurePosixPath(name).name.startswith("."))
        for name in tracked
    )


def _has_visible(tree: Any) -> bool:
    # A folder of which git keeps a `.gitkeep` and the like holds data that it ignores.
    return any(
        _has_visible(entry) if entry.type_str == "tree" else not entry.name.startswith(".")
        for entry in tree
    )
