"""What waits to be sent, on disk, in order."""

import errno
import os
from collections import deque
from itertools import islice
from pathlib import Path

LARGEST_BYTES = 64 * 2**20
"""What was sent already is taken off the disk once so much of it lies there."""

_RECORDS, _SENT = "records.jsonl", "sent"
_DIGITS = 20


class Journal:
    """Records, one a line, that are there once they were added, whatever becomes of the process.

    Not safe for threads. One process at a time may have it open.
    """

    def __init__(self, folder: Path) -> None:
        """Go on with what is in a folder, which exists."""
        self._file = os.open(folder / _RECORDS, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._sent_file = os.open(folder / _SENT, os.O_RDWR | os.O_CREAT)
        size = os.fstat(self._file).st_size
        sent = int(os.pread(self._sent_file, _DIGITS, 0) or 0)
        # Beyond the end: all was taken off the disk, and that not yet written down.
        self._sent = sent if sent <= size else 0
        *lines, torn = os.pread(self._file, size - self._sent, self._sent).split(b"\n")
        self._size = size - len(torn)
        os.ftruncate(self._file, self._size)
        self._waiting = deque(lines)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, line: bytes) -> None:
        """Write one down behind the others, as a whole or not at all.

        Raises:
            OSError: If the disk is full.
        """
        whole = line + b"\n"
        if os.write(self._file, whole) < len(whole):
            os.ftruncate(self._file, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(whole)
        self._waiting.append(line)

    def first(self, most: int) -> list[bytes]:
        """Those that wait longest."""
        return list(islice(self._waiting, most))

    def drop(self, number: int) -> None:
        """Forget so many of the first: they have arrived."""
        self._sent += sum(len(self._waiting.popleft()) + 1 for _ in range(number))
        if self._sent > LARGEST_BYTES and not self._waiting:
            os.ftruncate(self._file, 0)
            self._size = self._sent = 0
        os.pwrite(self._sent_file, b"%0*d" % (_DIGITS, self._sent), 0)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._file)
        os.close(self._sent_file)


def waiting_in(folder: Path) -> int:
    """How many records wait in a folder, whoever works with it."""
    try:
        said = (folder / _SENT).read_bytes()
        with (folder / _RECORDS).open("rb") as file:
            file.seek(int(said or 0))
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0
