"""Writing that is all or nothing."""

import csv
import json
import shutil
import stat
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
"""Suffix of what is not finished yet; git and DVC ignore it."""


@contextmanager
def new_directory(path: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes ``path`` when the block succeeds.

    An existing ``path`` is replaced. If the block raises, ``path`` is as it was
    and the unfinished folder is gone; one that a killed process left behind is
    removed by the next attempt.
    """
    partial = path.with_name(path.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if path.is_dir():
        shutil.rmtree(path)
    partial.replace(path)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, that becomes ``path`` when the block succeeds."""
    partial = path.with_name(path.name + PARTIAL)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def zip_member(
    name: str, method: int = zipfile.ZIP_STORED, *, mode: int = stat.S_IFREG | 0o644
) -> zipfile.ZipInfo:
    """A file for a zip that says nothing of when and where it was zipped."""
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = method
    member.create_system = 3  # Unix, whose permissions follow
    member.external_attr = mode << 16
    return member


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON that is the same for the same value, with a final newline."""
    with new_file(path) as partial:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows, of which there is at least one, as CSV; the keys of the first are the columns."""
    with new_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
