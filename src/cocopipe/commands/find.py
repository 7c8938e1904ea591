"""``cocopipe find``: in which split and version a picture is."""

import argparse
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path, PurePosixPath

from rich.table import Table

from cocopipe.coco.names import IMAGE_SUFFIXES
from cocopipe.coco.paths import path_of
from cocopipe.commands.versions import Found, documents_of, find, recorded, table_of
from cocopipe.convert.canonical import undecorated
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError, some
from cocopipe.split.ids import document_ids
from cocopipe.split.tables import read_table
from lineage.answer import Answer, json_text
from lineage.edge import Said
from lineage.errors import LineageError, told
from lineage.project import Project

_HASH = re.compile(r"[0-9a-fA-F]{8,64}")
_NUMBER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)

_REASONS = 3
"""How many reasons the one sentence has for not looking at versions."""

_COLUMNS = ("image_id", "file_name", "extra", "source", "sha256", "objects.list.element.id")


@dataclass(frozen=True)
class Place(Answer):
    """An image of one version of a split.

    Attributes:
        version: The revision that has it: the oldest, where all were asked for.
        names: Branches, tags and experiments that have it.
        split: The path of the split.
        source: The split of the raw data that it comes from.
        image_id: As the document has it.
        file_name: As written in the document.
        sha256: Of the file.
        document: The first document that lists it.
        objects: How many objects that has in it.
    """

    version: str
    names: tuple[str, ...]
    split: str
    source: str
    image_id: int
    file_name: str
    sha256: str
    document: str
    objects: int


def run(options: argparse.Namespace) -> Said:
    """Tell every place, or exit with 1 where there is none."""
    asked = _asked(options.what)
    found: list[tuple[_Nearness, Place]] = []
    looked: list[str] = []
    unread: dict[str, list[str]] = {}
    for version in _versions(options):
        try:
            found += _places(version, asked)
            looked.append(version.path)
        except (UserError, LineageError) as error:
            if not options.all:
                raise
            unread.setdefault(str(error).removeprefix(version.name), []).append(version.name)
    left = [_unread(names, why) for why, names in unread.items()]
    if not found:
        raise UserError(_nowhere(options, looked, left))
    nearest = min(nearness for nearness, _ in found)
    places = [place for nearness, place in found if nearness == nearest]
    warnings = list(map(told, left))
    if options.json:
        return Said(json_text([place.as_dict() for place in places]), warnings)
    return Said(_table(places), warnings)


class _Nearness(IntEnum):
    """How well an image is what was asked for; only the best are told."""

    EXACT = 0
    """Its hash, its id in the document, its file name."""
    LAST_PART = 1
    """Its file name but for the folder; or its id in the table."""
    PLAIN_NAME = 2
    """That without the suffix, and what tools add."""


@dataclass(frozen=True)
class _Asked:
    """What a picture is known by."""

    sha256: str | None
    """How its hash begins."""
    image_id: int | None
    name: str | None

    def nearness(self, sha256: str, name: str, image_id: int, table_id: int) -> _Nearness | None:
        """How well an image is what was asked for, if it is."""
        is_hash = self.sha256 is not None and sha256.startswith(self.sha256)
        if is_hash or image_id == self.image_id:
            return _Nearness.EXACT
        if self.name is None:
            return None
        path = path_of(name)
        if path == self._path:
            return _Nearness.EXACT
        if PurePosixPath(path).name == self._path or table_id == self.image_id:
            return _Nearness.LAST_PART
        return _Nearness.PLAIN_NAME if _plain(path) == self._plain else None

    @cached_property
    def _path(self) -> str:
        return path_of(self.name or "")

    @cached_property
    def _plain(self) -> str:
        return _plain(self._path)


def _asked(what: str) -> _Asked:
    path = Path(what)
    if path.is_file():
        with path.open("rb") as file:
            return _Asked(hashlib.file_digest(file, "sha256").hexdigest(), None, None)
    sha256 = what.lower() if _HASH.fullmatch(what) else None
    return _Asked(sha256, int(what) if _NUMBER.fullmatch(what) else None, what)


def _plain(path: str) -> str:
    """The last part of a path without what tools add, and without the suffix of images."""
    name = PurePosixPath(path).name
    has_suffix = PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES
    return undecorated(name if has_suffix else f"{name}.jpg")


def _versions(options: argparse.Namespace) -> Iterator[Found]:
    if options.all:
        yield from recorded(Project.find())
        return
    version = find(options.rev) if options.rev else None
    if version is None:
        yield from recorded(Project.find(), present=True)
        return
    for path, split in version.splits.items():
        yield Found(version.ref, (), path, split)


def _places(version: Found, asked: _Asked) -> list[tuple[_Nearness, Place]]:
    found: dict[tuple[str, int], tuple[_Nearness, Place]] = {}
    for document in documents_of(version.split):
        with version.split.bring([table_of(document)]) as folder:
            table = read_table(folder, document, _COLUMNS)
        ids = document_ids(table["image_id"], table["extra"]).tolist()
        columns = (table[name].to_pylist() for name in ("sha256", "file_name"))
        images = zip(*columns, ids, table["image_id"].to_pylist(), strict=True)
        for row, image in enumerate(images):
            nearness = asked.nearness(*image)
            if nearness is None:
                continue
            place = Place(
                version=version.version,
                names=version.names,
                split=version.path,
                source=table["source"][row].as_py(),
                image_id=ids[row],
                file_name=image[1],
                sha256=image[0],
                document=document,
                objects=len(table["objects"][row]),
            )
            found.setdefault((place.source, place.image_id), (nearness, place))
    return list(found.values())


def _unread(names: list[str], why: str) -> str:
    """Which versions could not be looked at; ``why`` may be behind the name of each."""
    each = ("it" if len(names) == 1 else "each") if why.startswith(" ") else ""
    return f"{some(names)} could not be looked at: {each}{why}"


def _nowhere(options: argparse.Namespace, looked: Iterable[str], left: list[str]) -> str:
    where = some(sorted(set(looked)))
    by = "name its SHA-256, a file of it, its name or its id"
    if options.all:
        what = f"is no picture of {where} in any revision" if where else "was looked for in vain"
        but = " that could be looked at" if where and left else ""
        more = [f"{len(left) - _REASONS} more reasons"] if len(left) > _REASONS else []
        return "; ".join([f"{options.what} {what}{but}: {by}", *left[:_REASONS], *more])
    at = f" at {options.rev}" if options.rev else ""
    return f"{options.what} is no picture of {where}{at}: {by}, or look in --all"


def _table(places: list[Place]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("version", "split", "source", "image", "file", "sha256", "objects"):
        table.add_column(column, overflow="fold", justify="right" if column == "image" else "left")
    for place in places:
        objects = str(place.objects)
        if place.document != PRIMARY:
            objects += f" {place.document}"
        version = " ".join([place.version, *(f"({name})" for name in place.names)])
        cells = (place.split, place.source, str(place.image_id), place.file_name)
        table.add_row(*map(told, (version, *cells, place.sha256[:16], objects)))
    return table
