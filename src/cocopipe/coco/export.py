"""Converted splits back to a COCO directory, equal to what they were made from.

::

    annotations/<document>_<split>.json
    <split>/<file name>

A split that was divided into train and val is one again. Documents are written entry by
entry, so that their size does not matter.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cocopipe.coco import tables
from cocopipe.coco.store import ImageStore
from cocopipe.errors import UserError


@dataclass(frozen=True)
class Exported:
    """What one split of the source came to."""

    split: str
    images: int
    documents: tuple[str, ...]


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
    sources: dict[str, list[Path]] = {}
    for split_dir in split_dirs:
        sources.setdefault(_source(split_dir), []).append(split_dir)
    return [_export(split, parts, out, advance) for split, parts in sources.items()]


def _source(split_dir: Path) -> str:
    """The split of the raw data that a converted one is all or part of."""
    first = tables.documents(split_dir)[0]
    return tables.source(split_dir, first) or split_dir.name


def _export(
    split: str, parts: Sequence[Path], out: Path, advance: Callable[[int], object]
) -> Exported:
    folder = out / split
    folder.mkdir(parents=True)
    images = 0
    for part in parts:
        for image in ImageStore(part):
            path = folder / image.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image.data)
            advance(1)
            images += 1
    names = list(dict.fromkeys(name for part in parts for name in tables.documents(part)))
    (out / "annotations").mkdir(exist_ok=True)
    for name in names:
        having = [part for part in parts if name in tables.documents(part)]
        _write_document(out / "annotations" / f"{name}_{split}.json", name, having)
    return Exported(split, images, tuple(names))


def _write_document(path: Path, name: str, parts: Sequence[Path]) -> None:
    read = [tables.read_table(part, name) for part in parts]
    tops = [json.loads(table.schema.metadata[b"coco"]) for table in read]
    if any(top != tops[0] for top in tops[1:]):
        raise UserError(
            f"{parts[0]} and {parts[1]} are parts of one split, but their {name} differ in more"
            " than images and annotations: convert them again, from one source"
        )
    has_annotations = any(tables.summary(part, name)["has_annotations"] for part in parts)
    with path.open("w", encoding="utf-8") as file:
        file.write("{")
        for key, value in tops[0].items():
            file.write(f"{json.dumps(key)}: {json.dumps(value)},\n")
        file.write('"images": [')
        file.writelines(_joined(tables.images_of(read)))
        if has_annotations:
            file.write('],\n"annotations": [')
            file.writelines(_joined(tables.annotations_of(read)))
        file.write("]}\n")


def _joined(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    separator = "\n"
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ",\n"
