"""Rows of a detection dataset on the Hugging Face Hub as COCO.

The original image bytes go into ``<split>.zip`` and the boxes into
``annotations/instances_<split>.json``, row by row: no more than a batch of rows is in memory.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from cocopipe.errors import UserError, some
from cocopipe.files import zip_member
from cocopipe.sources.coco2017 import categories as coco_categories
from cocopipe.sources.names import is_plain

_BATCH_ROWS = 32
_MISFIT_SHARE = 0.1
"""More boxes than this that can't be of the stated format mean another format."""
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp"}
_MODE = 0o644


class BoxFormat(StrEnum):
    """What ``bbox`` holds, in pixels."""

    XYXY = "xyxy"
    XYWH = "xywh"


@dataclass(frozen=True)
class Source:
    """A dataset on the Hub at a commit."""

    repo: str
    commit: str
    box_format: BoxFormat


@dataclass(frozen=True)
class _Row:
    """An image of the dataset and its objects, each a dict of the dataset's own fields."""

    image_id: int
    file_name: str
    data: bytes
    width: int
    height: int
    objects: list[dict[str, Any]]


def write_split(out: Path, split: str, paths: Sequence[Path], source: Source) -> None:
    """Write ``<split>.zip`` and ``annotations/instances_<split>.json``.

    The document's annotations are written as they come, its images after them: of a million
    objects, those of one batch are in memory.

    Args:
        out: Existing folder, with a folder ``annotations``.
        split: As the Hub names it.
        paths: The split's Parquet files, in their order.
        source: What they are of.

    Raises:
        UserError: The rows are not as `cocopipe.sources.hub.fetch_hub` describes them.
    """
    repo = source.repo
    categories = _categories(_class_names(paths[0], repo))
    head = {
        "info": {"description": f"{repo}, {split}", "version": source.commit},
        "licenses": [],
        "categories": sorted(categories, key=lambda category: category["id"]),
    }
    images: list[dict[str, Any]] = []
    number = misfits = 0
    with (
        zipfile.ZipFile(out / f"{split}.zip", "w", zipfile.ZIP_STORED) as archive,
        (out / "annotations" / f"instances_{split}.json").open("w", encoding="utf-8") as document,
    ):
        document.write(json.dumps(head)[:-1] + ', "annotations": [')
        for row in _rows(paths, split, repo):
            archive.writestr(zip_member(f"{split}/{row.file_name}", mode=_MODE), row.data)
            images.append(
                {
                    "id": row.image_id,
                    "file_name": row.file_name,
                    "width": row.width,
                    "height": row.height,
                }
            )
            for thing in row.objects:
                number += 1
                where = f"{repo}: object {number} of {split}, in image {row.image_id},"
                annotation = {
                    **_identity(thing, number),
                    "image_id": row.image_id,
                    **_annotation(thing, categories, source.box_format, where),
                }
                misfits += not _fits(annotation["bbox"], source.box_format, row)
                document.write(("," if number > 1 else "") + "\n" + json.dumps(annotation))
        document.write('],\n"images": ' + json.dumps(images) + "}\n")
    if misfits > number * _MISFIT_SHARE:
        raise UserError(
            f"{repo}: {misfits:,} of the {number:,} boxes of {split} can't be"
            f" {source.box_format} in pixels; state the dataset's own box_format."
        )


def _rows(paths: Sequence[Path], split: str, repo: str) -> Iterator[_Row]:
    number = 0
    names: set[str] = set()
    total = sum(pq.read_metadata(path).num_rows for path in paths)
    with tqdm(desc=split, total=total, unit="image", disable=None) as bar:
        for path in paths:
            with pq.ParquetFile(path) as file:
                there = set(file.schema_arrow.names)
                if not {"image", "objects"} <= there:
                    raise UserError(
                        f"{repo}: {path.name} has the columns {some(sorted(there))}, and not "
                        "'image' and 'objects' as a detection dataset has; name another dataset."
                    )
                columns = sorted(there & {"image", "objects", "image_id", "width", "height"})
                for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                    for values in batch.to_pylist():
                        number += 1
                        row = _row(values, number, names, f"{repo}: row {number} of {split}")
                        names.add(row.file_name)
                        yield row
                    bar.update(batch.num_rows)


def _row(values: dict[str, Any], number: int, names: set[str], where: str) -> _Row:
    """Read a row; what it doesn't say of the image is numbered, or read from the image."""
    image = values["image"]
    if not isinstance(image, dict) or not image.get("bytes"):
        raise UserError(f"{where} holds no image bytes; name a dataset that embeds its images.")
    data: bytes = image["bytes"]
    try:
        with Image.open(io.BytesIO(data)) as opened:
            width, height = opened.size
            suffix = _SUFFIXES.get(opened.format or "", ".img")
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
        raise UserError(f"{where} is not a readable image; name another revision.") from error
    image_id = values.get("image_id")
    if not isinstance(image_id, int):
        image_id = number
    file_name = PurePosixPath(image.get("path") or "").name
    if not is_plain(file_name) or file_name in names:
        file_name = f"{image_id:012d}{suffix}"
    if file_name in names:
        raise UserError(f"{where} has the image_id {image_id} of an earlier row.")
    return _Row(
        image_id,
        file_name,
        data,
        values.get("width") or width,
        values.get("height") or height,
        _objects(values["objects"]),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    """Bring both ways in which Parquet holds objects, lists in a struct or back, to dicts."""
    if isinstance(value, dict):
        columns = {name: column for name, column in value.items() if column is not None}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return list(value or [])


def _class_names(path: Path, repo: str) -> list[str]:
    """Return the names of the labels, from the features that ``datasets`` put into the file.

    Not through ``datasets.Features.from_arrow_schema``: it drops the names where the feature's
    storage type is not exactly the column's.
    """
    with pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
    info = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {})
    objects = info.get("features", {}).get("objects")
    for inner in (_inner(objects), objects):
        feature = inner.get("category") if isinstance(inner, dict) else None
        while isinstance(feature, dict) and feature.get("_type") != "ClassLabel":
            feature = _inner(feature)
        if feature:
            return list(feature["names"])
    raise UserError(
        f"{repo}: the features of {path.name} name no classes for objects.category; name a "
        "dataset whose category is a ClassLabel."
    )


def _inner(feature: Any) -> Any:
    """What a list feature is a list of, in any of the ways that ``datasets`` has written it."""
    if isinstance(feature, list):
        return feature[0]
    return feature.get("feature") if isinstance(feature, dict) else None


def _categories(names: list[str]) -> list[dict[str, Any]]:
    """Return the category of each label: COCO's own where the names are COCO's, else label + 1."""
    official = {category["name"]: category for category in coco_categories()}
    if set(names) == set(official):
        return [official[name] for name in names]
    return [{"id": label, "name": name} for label, name in enumerate(names, start=1)]


def _identity(thing: dict[str, Any], number: int) -> dict[str, int]:
    identity = thing.get("bbox_id", thing.get("id"))
    return {"id": identity if isinstance(identity, int) else number}


def _annotation(
    thing: dict[str, Any], categories: list[dict[str, Any]], box_format: BoxFormat, where: str
) -> dict[str, Any]:
    label, box = thing.get("category"), thing.get("bbox")
    if not isinstance(label, int) or not 0 <= label < len(categories):
        raise UserError(
            f"{where} has the category {label!r}, which is none of the {len(categories)} labels."
        )
    if not isinstance(box, list) or len(box) != 4 or None in box:
        raise UserError(f"{where} has the bbox {box!r}, which is not four numbers.")
    x, y, width, height = box
    if box_format == BoxFormat.XYXY:
        # Rounding takes back what the subtraction adds: 612.67 - 1.08 is 611.5899999999999.
        width, height = round(width - x, 6), round(height - y, 6)
    area = thing.get("area")
    return {
        "category_id": categories[label]["id"],
        "bbox": [x, y, width, height],
        "area": round(width * height, 6) if area is None else area,
        "iscrowd": int(thing.get("iscrowd") or 0),
        "segmentation": [],
    }


def _fits(bbox: list[float], box_format: BoxFormat, row: _Row) -> bool:
    """Tell whether a box could be of the format: not of negative size, nor far outside."""
    x, y, width, height = bbox
    if box_format == BoxFormat.XYXY:
        return width >= 0 and height >= 0
    return x + width <= row.width + 1 and y + height <= row.height + 1
