"""``cocopipe find``: in which split and version a picture is."""

import argparse
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
from rich.table import Table

from cocopipe.commands.versions import Found, Split, documents_of, find, recorded, table_of
from cocopipe.convert.canonical import undecorated
from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError, some
from cocopipe.split.tables import read_table
from lineage.answer import Answer, json_text
from lineage.edge import Said
from lineage.errors import LineageError, told
from lineage.project import Project

_HASH = re.compile(r"[0-9a-fA-F]{8,64}")

_COLUMNS = ("image_id", "file_name", "source", "sha256", "objects.list.element.id")


@dataclass(frozen=True)
class Place(Answer):
    """An image of one version of a split.

    Attributes:
        version: The revision that has it: the oldest, where all were asked for.
        names: Branches, tags and experiments that have it.
        split: The path of the split.
        source: The split of the raw data that it comes from.
        image_id: As the table has it.
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
    versions = list(_versions(options))
    places: list[Place] = []
    warnings: list[str] = []
    for version in versions:
        try:
            places += _places(version, asked)
        except (UserError, LineageError) as error:
            if not options.all:
                raise
            warnings.append(told(f"{version.path} of {version.version} was not looked at: {error}"))
    if not places:
        looked = some(sorted({version.path for version in versions}))
        raise UserError(f"{options.what} is no picture of {looked}{_else(options)}")
    if options.json:
        return Said(json_text([place.as_dict() for place in places]), warnings)
    return Said(_table(places), warnings)


@dataclass(frozen=True)
class _Asked:
    """What a picture is known by."""

    sha256: str | None
    """How its hash begins."""
    image_id: int | None
    name: str | None

    def matches(self, rows: pa.Table) -> pa.BooleanArray:
        """Which of a table's rows are meant."""
        hashes, names = rows["sha256"].to_pylist(), rows["file_name"].to_pylist()
        ids = rows["image_id"].to_pylist()
        found = [
            (self.sha256 is not None and sha256.startswith(self.sha256))
            or image_id == self.image_id
            or (self.name is not None and _is_called(self.name, name))
            for sha256, image_id, name in zip(hashes, ids, names, strict=True)
        ]
        return pa.array(found, pa.bool_())


def _asked(what: str) -> _Asked:
    path = Path(what)
    if path.is_file():
        with path.open("rb") as file:
            return _Asked(hashlib.file_digest(file, "sha256").hexdigest(), None, None)
    sha256 = what.lower() if _HASH.fullmatch(what) else None
    return _Asked(sha256, int(what) if re.fullmatch(r"-?\d{1,18}", what) else None, what)


def _is_called(asked: str, name: str) -> bool:
    """Whether a name is the one that was asked for, or its last part, with or without suffix."""
    last = PurePosixPath(name.replace("\\", "/")).name
    if asked in (name, last):
        return True
    return PurePosixPath(undecorated(name)).name == PurePosixPath(undecorated(asked)).name


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


def _places(version: Found, asked: _Asked) -> list[Place]:
    found: dict[tuple[str, int], Place] = {}
    for document in documents_of(version.split):
        for row in _rows(version.split, document, asked):
            place = Place(
                version=version.version,
                names=version.names,
                split=version.path,
                document=document,
                objects=len(row["objects"]),
                **{name: row[name] for name in ("source", "image_id", "file_name", "sha256")},
            )
            found.setdefault((place.source, place.image_id), place)
    return list(found.values())


def _rows(split: Split, document: str, asked: _Asked) -> list[dict[str, Any]]:
    with split.bring([table_of(document)]) as folder:
        table = read_table(folder, document, _COLUMNS)
    rows: list[dict[str, Any]] = table.filter(asked.matches(table)).to_pylist()
    return rows


def _else(options: argparse.Namespace) -> str:
    if options.all:
        return " in any revision: name its SHA-256, a file of it, its name or its id"
    where = f" at {options.rev}" if options.rev else ""
    return f"{where}: name its SHA-256, a file of it, its name or its id, or look in --all"


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
