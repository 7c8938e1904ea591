"""What was written to since a moment, by the times that the file system keeps."""

import os
import time
from collections.abc import Iterator
from os import DirEntry
from pathlib import Path
from stat import S_ISLNK
from tempfile import NamedTemporaryFile

TICK_S = 0.05
"""How much the times of two files may differ that were written together."""


def touched_since(place: Path, moment: float) -> Iterator[Path]:
    """Files that were written to, renamed or replaced since, and folders that lost something.

    Args:
        place: A file or folder; nothing is touched where none is there.
        moment: In seconds since the epoch.
    """
    if not place.is_dir():
        if os.path.lexists(place) and _is_later(place, moment):
            yield place
        return
    with os.scandir(place) as entries:
        inside = list(entries)
    for entry in inside:
        yield from touched_since(Path(entry.path), moment)
    changed = place.stat().st_mtime
    if changed > moment and not any(_appeared(entry, changed) for entry in inside):
        yield place


def clock_ahead(folder: Path) -> float:
    """How many seconds the clock of a file system, as of a file server, is ahead of ours.

    Args:
        folder: Which exists, and may be written to.
    """
    with NamedTemporaryFile(dir=folder, prefix="clock-") as file:
        return max(0.0, os.fstat(file.fileno()).st_mtime - time.time())


def _is_later(file: Path, moment: float) -> bool:
    own = file.lstat()
    if S_ISLNK(own.st_mode):
        # DVC may have put a link into its cache there.
        target = file.stat().st_mtime if file.exists() else 0.0
        return max(own.st_ctime, target) > moment
    # One more name for the same bytes, as DVC gives those of its cache, moves the time of change.
    is_shared = own.st_nlink > 1
    return max(own.st_mtime, 0.0 if is_shared else own.st_ctime) > moment


def _appeared(entry: DirEntry[str], moment: float) -> bool:
    """Whether something came into a folder at that moment, or later."""
    return entry.stat(follow_symlinks=False).st_ctime > moment - TICK_S
