"""Converted splits back to COCO, equal to what they were made from.

::

    annotations/<document>_<split>.json
    <split>/<file name>                     in a directory
    images/<split>/<file name>              in a zip, as annotation tools want it

A split that was divided into train and val is one again. Documents are written entry by
entry, so that their size does not matter.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, Protocol, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.coco.paths import path_of
from cocopipe.documents import order
from cocopipe.errors import UserError
from cocopipe.files import zip_member
from cocopipe.split import fields, tables
from cocopipe.split.images import ImageStore
from cocopipe.split.objects import Objects, object_columns

HELD_OBJECTS = 2**17
"""Annotations that are brought into the document's order at a time."""

IN_MEMORY_BYTES = 16 * 2**20
"""The JSON that waits in memory on its way into a zip; more waits in a file beside that."""

_POSITION = object_columns(["position"])
_OF_IMAGES = fields.IMAGE.names
"""Columns that `tables.images_of` takes."""


@dataclass(frozen=True)
class Exported:
    """What one split of the source came to."""

    split: str
    images: int
    documents: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.split}, {self.images} images, {', '.join(self.documents)}"


def export(
    split_dirs: Sequence[Path], out: Path, *, advance: Callable[[int], object] = lambda _: None
) -> list[Exported]:
    """Write converted splits as a COCO directory.

    Args:
        split_dirs: folders that the convert stage wrote, the parts of a divided split together.
        out: an existing folder, empty.
        advance: told how many more images are written.

    Returns:
        What was written, by split of the source.

    Raises:
        UserError: not a converted split; parts that do not belong together.
    """
    return _export_to(_Directory(out), split_dirs, advance)


def export_zip(
    split_dirs: Sequence[Path], out: Path, *, advance: Callable[[int], object] = lambda _: None
) -> list[Exported]:
    """Write converted splits as a zip that annotation tools import, and ``convert`` reads.

    The layout is CVAT's "COCO 1.0" (docs.cvat.ai, Formats, COCO). The same data gives the same
    bytes. Documents are deflated, images stored: they are compressed already.

    Args:
        split_dirs: folders that the convert stage wrote, the parts of a divided split together.
        out: the zip, which does not exist.
        advance: told how many more images are written.

    Returns:
        What was written, by split of the source.

    Raises:
        UserError: not a converted split; parts that do not belong together.
    """
    with zipfile.ZipFile(out, "x") as archive:
        return _export_to(_Zip(archive, out.parent), split_dirs, advance)


class _Target(Protocol):
    """Where an export goes."""

    def add_image(self, split: str, image_path: str, data: bytes) -> None: ...

    def new_document(self, file_name: str) -> AbstractContextManager[TextIO]: ...


@dataclass(frozen=True)
class _Directory:
    folder: Path

    def add_image(self, split: str, image_path: str, data: bytes) -> None:
        path = self.folder / split / image_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def new_document(self, file_name: str) -> AbstractContextManager[TextIO]:
        path = self.folder / "annotations" / file_name
        path.parent.mkdir(exist_ok=True)
        return path.open("w", encoding="utf-8", newline="\n")


@dataclass(frozen=True)
class _Zip:
    archive: zipfile.ZipFile
    folder: Path
    """The folder in which documents wait."""

    def add_image(self, split: str, image_path: str, data: bytes) -> None:
        member = zip_member(f"images/{split}/{image_path}", zipfile.ZIP_STORED)
        self.archive.writestr(member, data)

    @contextmanager
    def new_document(self, file_name: str) -> Iterator[TextIO]:
        member = zip_member(f"annotations/{file_name}", zipfile.ZIP_DEFLATED)
        # The header comes first, and has other fields where the size is 2 GB or more.
        with SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self.folder)) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
            yield text
            text.detach()
            member.file_size = file.tell()
            file.seek(0)
            with self.archive.open(member, "w") as packed:
                shutil.copyfileobj(file, packed)


def _export_to(
    target: _Target, split_dirs: Sequence[Path], advance: Callable[[int], object]
) -> list[Exported]:
    parts: dict[str, dict[str, list[_Part]]] = {}
    for split_dir in split_dirs:
        for name in tables.documents(split_dir):
            for source in tables.sources(split_dir, name):
                its = parts.setdefault(source.split, {}).setdefault(name, [])
                its.append(_Part(split_dir, source))
    images = dict.fromkeys(parts, 0)
    for split_dir in split_dirs:
        for split in _export_images(split_dir, target):
            images[split] += 1
            advance(1)
    for split, documents in parts.items():
        for name, its in documents.items():
            _write_document(target, f"{name}_{split}.json", name, its)
    return [
        Exported(split, images[split], tuple(order(documents)))
        for split, documents in parts.items()
    ]


@dataclass(frozen=True)
class _Part:
    """What a converted split has of a document of a split of the raw data."""

    split_dir: Path
    source: tables.Source


def _export_images(split_dir: Path, target: _Target) -> Iterator[str]:
    """Write the images of a split, at all places that each has; tells the source of each."""
    places = places_of_files(split_dir)
    for image in ImageStore(split_dir):
        for source, path in places.get(image.sha256, ()):
            target.add_image(source, path, image.data)
            yield source


def places_of_files(split_dir: Path) -> dict[str, dict[tuple[str, str], None]]:
    """The SHA-256 of each file -> the source and path of every image that it is.

    Documents may write one path in several ways.
    """
    columns = ("sha256", "source", "file_name")
    places: dict[str, dict[tuple[str, str], None]] = {}
    for document in tables.documents(split_dir):
        table = tables.read_table(split_dir, document, columns)
        for sha256, source, name in zip(
            *(table[each].to_pylist() for each in columns), strict=True
        ):
            places.setdefault(sha256, {})[source, path_of(name)] = None
    return places


def _write_document(target: _Target, file_name: str, name: str, parts: Sequence[_Part]) -> None:
    top = parts[0].source.coco
    other = next((part for part in parts if part.source.coco != top), None)
    if other is not None:
        raise UserError(
            f"{parts[0].split_dir} and {other.split_dir} are parts of one split, but their {name}"
            " differ in more than images and annotations: convert them again, from one source"
        )
    with ExitStack() as stack:
        files = [stack.enter_context(tables.open_table(part.split_dir, name)) for part in parts]
        split = parts[0].source.split
        text = stack.enter_context(target.new_document(file_name))
        text.write("{")
        for key, value in top.items():
            text.write(f"{json.dumps(key)}: {json.dumps(value)},\n")
        text.write('"images": [')
        its = [_of(split, file.read([*_OF_IMAGES, "source"])) for file in files]
        text.writelines(_joined(tables.images_of(its)))
        if any(part.source.has_annotations for part in parts):
            text.write('],\n"annotations": [')
            text.writelines(_joined(_annotations(files, split)))
        text.write("]}\n")


def _of(split: str, rows: pa.Table) -> pa.Table:
    """The rows of a table that come from one split of the raw data."""
    return rows.filter(pc.equal(rows["source"], split))


def _annotations(files: Sequence[pq.ParquetFile], split: str) -> Iterator[dict[str, Any]]:
    """The annotations of a document in its order, ``HELD_OBJECTS`` in memory at a time."""
    groups = [
        _Group(file, number, split) for file in files for number in range(file.num_row_groups)
    ]
    spans = [(group, group.positions()) for group in groups]
    for start in range(0, max((span.stop for _, span in spans), default=0), HELD_OBJECTS):
        some = range(start, start + HELD_OBJECTS)
        held = [
            group.objects(some)
            for group, span in spans
            if span.start < some.stop and some.start < span.stop
        ]
        if held:
            yield from tables.annotations_of(held)


@dataclass(frozen=True)
class _Group:
    """A row group of an annotation table."""

    file: pq.ParquetFile
    number: int
    split: str
    """The split of the raw data whose rows are looked at."""

    def positions(self) -> range:
        """The range of places that the objects have in the document."""
        lists = self._rows(_POSITION)["objects"]
        positions = pc.list_flatten(lists).combine_chunks().field("position")
        found = pc.min_max(positions).as_py()
        return range(found["min"], found["max"] + 1) if len(positions) else range(0)

    def objects(self, positions: range) -> pa.Table:
        """The objects that have these positions, each as a table's row of its own."""
        rows = self._rows(["image_id", "extra", "objects"])
        objects = Objects(rows["objects"].combine_chunks())
        position = objects.rows.field("position").to_numpy()
        taken = (position >= positions.start) & (position < positions.stop)
        structs = objects.rows.filter(pa.array(taken))
        each = pa.array(np.arange(len(structs) + 1, dtype=np.int32))
        return pa.table(
            {
                **{
                    name: rows[name].take(pa.array(objects.image[taken]))
                    for name in ("image_id", "extra")
                },
                "objects": pa.ListArray.from_arrays(each, structs, type=tables.LISTS),
            }
        )

    def _rows(self, columns: Sequence[str]) -> pa.Table:
        return _of(self.split, self.file.read_row_group(self.number, [*columns, "source"]))


def _joined(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ",\n"
