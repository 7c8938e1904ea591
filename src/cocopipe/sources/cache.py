"""Verified files kept between runs, outside of what DVC empties before a stage."""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cocopipe.errors import UserError
from cocopipe.files import PARTIAL, write_json
from cocopipe.sources.http import PATIENCE, Patience, complete, public

_log = logging.getLogger(__name__)


def fetch(
    url: str, path: Path, *, size_bytes: int, md5: str, patience: Patience = PATIENCE
) -> None:
    """Make sure that ``path`` holds exactly the file that is meant.

    A file that is there and verified is not fetched again; one that somebody put there by
    hand is verified first. Of several processes one fetches, the others wait.

    Args:
        url: Where to get it.
        path: The file, in the cache. ``<path>.json`` remembers that it was verified,
            ``<path>.partial`` holds what has arrived of it.
        size_bytes: Its size.
        md5: Its md5, in hexadecimal.
        patience: When to give up.

    Raises:
        UserError: See :func:`cocopipe.sources.http.complete`; or what arrived has another
            md5, in which case it is deleted; or the cache can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{path.parent}, the folder that keeps downloads, can't be made ({error.strerror}); "
            "make room for it there."
        ) from error
    with _alone(path):
        if _is_verified(path, size_bytes, md5):
            return
        partial = path.with_name(path.name + PARTIAL)
        complete(url, partial, size_bytes=size_bytes, patience=patience)
        actual = _md5(partial)
        partial.with_name(partial.name + ".json").unlink(missing_ok=True)
        if actual != md5:
            partial.unlink()
            raise UserError(
                f"{public(url)} has the md5 {actual} where {md5} is expected, and was deleted; "
                "fetch it again, or, for a mirror with other content, state its bytes and md5."
            )
        partial.replace(path)
        _remember(path, md5)


def missing_bytes(path: Path, size_bytes: int) -> int:
    """How many bytes :func:`fetch` would still write for ``path``, at most."""
    partial = path.with_name(path.name + PARTIAL)
    if path.exists() and path.stat().st_size == size_bytes:
        return 0
    return max(0, size_bytes - partial.stat().st_size) if partial.exists() else size_bytes


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.warning("Another process is fetching %s; waiting for it.", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_verified(path: Path, size_bytes: int, md5: str) -> bool:
    """Tell whether ``path`` has these bytes; read them only where that isn't remembered."""
    if not path.is_file() or path.stat().st_size != size_bytes:
        return False
    try:
        if json.loads(_note(path).read_text(encoding="utf-8")) == _stamp(path, md5):
            return True
    except (FileNotFoundError, ValueError):  # nothing is remembered
        pass
    if _md5(path) != md5:
        return False
    _remember(path, md5)
    return True


def _remember(path: Path, md5: str) -> None:
    write_json(_note(path), _stamp(path, md5))


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _stamp(path: Path, md5: str) -> dict[str, str | int]:
    stat = path.stat()
    return {"md5": md5, "size_bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
