"""All files of a folder of raw data, those inside its zips too."""

import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from cocopipe.coco.names import BESIDE, UNREADABLE_ZIP, is_unicode, leads_out
from cocopipe.coco.zips import DiskFile, Entry, OpenZip, ZipMember
from cocopipe.errors import UserError

_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


def tree(raw: Path, open_zips: ExitStack) -> dict[str, Entry]:
    """Every file and zip member by its path relative to ``raw``, in sorted order."""
    found: dict[str, Entry] = {}
    for name, path in _walk(raw, raw.resolve(), ""):
        if _is_of_macos(name):
            continue
        if path.suffix.lower() == ".zip":
            there: Mapping[str, Entry] = dict(_members(path, name, open_zips))
        else:
            there = {name: DiskFile(raw, name, path.stat().st_size)}
        for inside, entry in there.items():
            if inside in found:
                raise UserError(
                    f"{inside} is both {found[inside].where} and {entry.where}: remove one of them"
                )
            found[inside] = entry
    return dict(sorted(found.items()))


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


def _members(path: Path, name: str, open_zips: ExitStack) -> Iterator[tuple[str, Entry]]:
    """The members of a zip by the paths they would have if unpacked beside it."""
    file = open_zips.enter_context(path.open("rb"))
    archive = OpenZip(name, file.fileno(), os.fstat(file.fileno()).st_size)
    members: dict[str, ZipMember] = {}
    for member in _directory(path, archive):
        if leads_out(member.name):
            raise UserError(f"{path} has a member named {member.name!r}: remove it from the zip")
        inside = member.name.replace("\\", "/")
        if inside in members:
            raise UserError(f"{path} has two members named {inside}: make it again")
        members[inside] = member
    parent, _, _ = name.rpartition("/")
    root = f"{parent}/" if parent else ""
    if not any(_is_layout(member, path.stem) for member in members):
        root += f"{path.stem}/"
    for inside, member in members.items():
        yield root + inside, member


def _directory(path: Path, archive: OpenZip) -> list[ZipMember]:
    """The files in a zip; what zipfile made of its directory is gone afterwards."""
    try:
        with zipfile.ZipFile(path) as directory:
            return [
                ZipMember.of(archive, info)
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
