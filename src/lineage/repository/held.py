"""Folders beside each other, each of which one process at a time works in."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout


@dataclass(frozen=True)
class HeldFolder:
    """A folder that this process works in, and no other until it is let go.

    Attributes:
        path: The folder.
    """

    path: Path
    _lock: FileLock

    def let_go(self) -> None:
        """Leave it to others."""
        self._lock.release()

    def remove(self) -> None:
        """Leave nothing of it. Nobody may choose meanwhile, see `Shelf.choosing`."""
        shutil.rmtree(self.path)
        note_of(self.path).unlink(missing_ok=True)
        Path(self._lock.lock_file).unlink()
        self._lock.release()
        with suppress(OSError):  # others are beside it
            self.path.parent.rmdir()


@dataclass(frozen=True)
class Shelf:
    """Groups of such folders, whose names are numbers, in the order in which they were made.

    Attributes:
        path: In which the groups are; made when the first is taken.
        choosing: Held by who takes a folder, or takes one away.
    """

    path: Path
    choosing: FileLock = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "choosing", FileLock(self.path / ".lock"))

    def folders(self, group: str = "*") -> list[Path]:
        """All that are there, of one group or of every, the oldest of each first."""
        found = [path for path in self.path.glob(f"{group}/*") if path.is_dir()]
        return sorted(found, key=lambda path: (path.parent.name, int(path.name)))

    def take(self, group: str, *, new: bool = False) -> HeldFolder:
        """Hold a folder of a group that nobody holds: one that is there, or else a new one.

        Args:
            group: Name of the group, as files may be called.
            new: Take none that is there.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self.choosing:
            there = self.folders(group)
            for path in (*(() if new else there), *_unused(self.path / group, there)):
                path.mkdir(parents=True, exist_ok=True)
                if held := hold(path):
                    return held
        raise AssertionError(f"{path} is held by nobody who has it")

    def give_back(self, held: HeldFolder, *, is_empty: bool) -> None:
        """Let go of a folder, which is gone where nothing is left in it."""
        with self.choosing:
            if is_empty:
                held.remove()
            else:
                held.let_go()

    def is_held(self, path: Path) -> bool:
        """Whether anybody holds a folder now."""
        with self.choosing:
            held = hold(path)
            if held:
                held.let_go()
            return held is None


def hold(path: Path) -> HeldFolder | None:
    """Hold a folder that is there; None where another process holds it.

    What may take it away at this moment must be kept from it, see `Shelf.choosing`.
    """
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return HeldFolder(path, lock)


def note_of(path: Path) -> Path:
    """Where to write down what a folder is about."""
    return path.with_suffix(".json")


def _unused(group: Path, there: list[Path]) -> Iterator[Path]:
    first = int(there[-1].name) + 1 if there else 0
    yield next(group / str(number) for number in count(first))
