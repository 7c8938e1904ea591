"""Room on the disk, and taking a file without touching the user's own."""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from cocopipe.errors import UserError

_FICLONE = 0x40049409
"""``_IOW(0x94, 9, int)`` of linux/fs.h; :mod:`fcntl` names it from Python 3.12 on."""


def take_file(source: Path, target: Path) -> None:
    """Make ``target`` a file of its own with the bytes of ``source``: reflink, else copy.

    Never a hard link: DVC makes what it caches read-only and may edit through the shared
    inode. ``shutil.copyfile`` does not reflink, and the library that does belongs to DVC,
    hence the one ioctl here.

    Raises:
        OSError: ``source`` can't be read or ``target`` can't be written.
    """
    if not _clone(source, target):
        shutil.copyfile(source, target)


def _clone(source: Path, target: Path) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:  # another file system, or one that can't: the caller copies
            return False
    return True


def require_space(needs: Iterable[tuple[Path, int]]) -> None:
    """Check that the bytes about to be written fit.

    Args:
        needs: Folders, existing or not, and how many bytes are to be written into each;
            folders on one file system share its free space.

    Raises:
        UserError: A file system has less free than is needed.
    """
    needed: dict[int, int] = {}
    folders: dict[int, Path] = {}
    for folder, size_bytes in needs:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        device = existing.stat().st_dev
        needed[device] = needed.get(device, 0) + size_bytes
        folders.setdefault(device, existing)
    for device, size_bytes in needed.items():
        free = shutil.disk_usage(folders[device]).free
        if size_bytes > free:
            raise UserError(
                f"The disk of {folders[device]} is too full: {size_bytes:,} bytes are needed, "
                f"{free:,} are free; free some or choose another place."
            )
