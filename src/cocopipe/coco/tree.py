"""All files of a folder of raw data, those inside its zips too."""

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

from cocopipe.coco.file_columns import Files
from cocopipe.coco.names import BESIDE, UNREADABLE_ZIP, is_unicode, leads_out
from cocopipe.coco.zips import DiskFile, Entry, OpenZip, ZipMember
from cocopipe.errors import UserError

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def tree(raw: Path, open_zips: ExitStack) -> Files:
    """Every file and zip member by its path relative to ``raw``, in sorted order."""
    loose: list[tuple[str, Entry]] = []
    zipped: list[Files] = []
    for name, path in _walk(raw, raw.resolve(), ""):
        if _is_of_macos(name):
            continue
        if path.suffix.lower() == ".zip":
            zipped.append(_members(path, name, open_zips))
        else:
            loose.append((name, DiskFile(raw, name, path.stat().st_size)))
    found = Files.joined([Files.of(loose), *zipped])
    twice = np.flatnonzero(pc.equal(found.names[1:], found.names[:-1]))
    for row in twice[:1].tolist():
        one, other = found.at(row), found.at(row + 1)
        raise UserError(
            f"{found.names[row]} is both {one.where} and {other.where}: remove one of them"
        )
    return found


def _walk(folder: Path, root: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """Files below ``folder`` with their paths relative to ``root``."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: entry.name)
    for entry in entries:
        name = prefix + entry.name
        path = folder / entry.name
        if entry.is_symlink():
            target = Path(os.path.realpath(path))  # of a link to itself, too
            if not path.exists():
                raise UserError(
                    f"{path} is a symlink to {target}, which does not exist: "
                    "put the file itself there"
                )
            # A symlinked cache is how DVC may have put the raw data here.
            inside = target.is_relative_to(root) or _DVC_CACHE.search(target.as_posix())
            if not inside or folder.resolve().is_relative_to(target):
                raise UserError(
                    f"{path} is a symlink to {target}, which is not below {root}: "
                    "put the file itself there"
                )
        if not is_unicode(entry.name):
            raise UserError(
                f"{os.fsencode(path)!r} has a name that is not Unicode, which no annotations can"
                " have: rename or remove it"
            )
        if entry.is_dir():
            yield from _walk(path, root, name + "/")
        elif entry.is_file():
            yield name, path


def _members(path: Path, name: str, open_zips: ExitStack) -> Files:
    """The members of a zip by the paths they would have if unpacked beside it."""
    file = open_zips.enter_context(path.open("rb"))
    archive = OpenZip(name, file.fileno(), os.fstat(file.fileno()).st_size)
    members: dict[str, zipfile.ZipInfo] = {}
    for info in _directory(path):
        if leads_out(info.filename):
            raise UserError(f"{path} has a member named {info.filename!r}: remove it from the zip")
        inside = info.filename.replace("\\", "/")
        if inside in members:
            raise UserError(f"{path} has two members named {inside}: make it again")
        members[inside] = info
    parent, _, _ = name.rpartition("/")
    root = f"{parent}/" if parent else ""
    if not any(_is_layout(member, path.stem) for member in members):
        root += f"{path.stem}/"
    return Files.of(
        (root + inside, ZipMember.of(archive, info)) for inside, info in members.items()
    )


def _directory(path: Path) -> list[zipfile.ZipInfo]:
    """The files in a zip, as its directory has them."""
    try:
        with zipfile.ZipFile(path) as directory:
            return [
                info
                for info in directory.infolist()
                if not info.is_dir() and not _is_of_macos(info.filename)
            ]
    except UNREADABLE_ZIP as error:
        raise UserError(f"{path} is no readable zip ({error}): fetch or make it again") from error


def _is_of_macos(name: str) -> bool:
    """Whether a file holds what macOS knows of another one."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def _is_layout(member: str, stem: str) -> bool:
    """Whether a zip with this member brings its own folders."""
    own = (f"{stem}/", "annotations/", "images/")
    return member.startswith(own) or member.endswith(f"/{BESIDE}")
