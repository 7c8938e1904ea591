"""What lies at a path that a lock, a tag or a listing names.

Whatever it is called, asking raises nothing: `pathlib` does where no file can have the name.
"""

import os
from pathlib import Path


def is_file(path: Path) -> bool:
    """Whether a file is there, or a link to one."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether a folder is there, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: Path) -> bool:
    """Whether anything is."""
    return os.path.exists(path)  # noqa: PTH110
