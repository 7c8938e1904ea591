"""Raw COCO data to two converted splits."""

import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from tqdm import tqdm

from cocopipe.coco.layout import Raw, RawSplit, open_raw
from cocopipe.coco.naming import meant, near
from cocopipe.coco.paths import path_of
from cocopipe.convert.columns import Annotations, DocumentColumns, read
from cocopipe.convert.image_writer import FoundImages, Stored, finish_store, start_store, writing
from cocopipe.convert.settings import ConvertSettings
from cocopipe.convert.table_writer import give_back_memory, new_table
from cocopipe.documents import PRIMARY, order
from cocopipe.errors import UserError, some
from cocopipe.split.boxes import OddBoxes, count_odd, odd_boxes
from cocopipe.split.objects import given_boxes

_NOT_IN_METRICS = re.compile(r"[^\w.\- ]", re.ASCII)
"""What a file may be named, but not an MLflow metric."""


@dataclass(frozen=True)
class SplitConversion:
    """What became of one split."""

    source: str
    """The split of the raw data that it comes from."""
    stored: Stored
    annotations: Mapping[str, int]
    """How many annotations each document has of the split's images."""
    odd_boxes: OddBoxes
    """The odd boxes of the ``instances`` document, all of which were kept as they are."""


@dataclass(frozen=True)
class Conversion:
    """What became of the raw data."""

    train: SplitConversion
    val: SplitConversion
    skipped: tuple[str, ...]
    """Listed images that are missing in the raw data, as ``<split>/<file name>``."""
    read_otherwise: Mapping[str, int]
    """How file names were read that are not those of files, as ``<split>: <how>`` -> how many."""
    ignored: tuple[str, ...]
    """Splits, documents without images or of panoptic segments, image folders without documents."""

    def metrics(self) -> dict[str, float]:
        """Everything that was counted, as ``<split>.<name>``."""
        counts: dict[str, float] = {"skipped_images": len(self.skipped)}
        for name, split in (("train", self.train), ("val", self.val)):
            counts |= {f"{name}.{key}": value for key, value in split.stored.counts().items()}
            counts |= {
                f"{name}.annotations/{_NOT_IN_METRICS.sub('_', key)}": value
                for key, value in split.annotations.items()
            }
            boxes = asdict(split.odd_boxes)
            counts |= {f"{name}.boxes_{key}": value for key, value in boxes.items()}
        return counts


def convert(
    raw: Path, train: Path, val: Path, settings: ConvertSettings, *, workers: int
) -> Conversion:
    """Convert raw COCO data; the same bytes for the same data, whatever ``workers`` is.

    A split whose name starts with ``train`` and one with ``val`` are taken as
    they are. A split that is the only one is divided by a hash of the image id,
    so that adding images never moves others across.

    Args:
        raw: see :mod:`cocopipe.coco.layout`.
        train: an existing, empty folder.
        val: likewise.
        settings: how to go about it.
        workers: threads.

    Raises:
        UserError: the data isn't sound; the message names file and id.
    """
    with _no_garbage(), open_raw(raw) as source:
        chosen, ignored = _choose(raw, source)
        taken = [_take(split, settings) for split in chosen]
        skipped = tuple(f"{part.source.name}/{name}" for part in taken for name in part.skipped)
        readings = {
            f"{part.source.name}: {how}": many
            for part in taken
            for how, many in part.readings.items()
        }
        ignored += [where for part in taken for where in part.ignored]
        if len(taken) == 1:
            taken = _divide(taken[0], settings.validation_fraction)
        else:
            _require_same_categories(*taken)
        parts = dict(zip((train, val), taken, strict=True))
        done = _write(parts, workers, decode=settings.verify == "decode")
    mismatched = [line for split in done for line in split.stored.mismatched]
    if mismatched and settings.on_mismatch == "error":
        raise UserError(
            f"{len(mismatched)} images of {raw} have another size than their annotations say,"
            f" {some(mismatched)}: correct width and height, or set convert.on_mismatch to keep"
        )
    return Conversion(
        train=done[0],
        val=done[1],
        skipped=skipped,
        read_otherwise=readings,
        ignored=(*ignored, *source.ignored),
    )


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Look for no cycles among the many objects of parsed JSON, which has none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _choose(raw: Path, source: Raw) -> tuple[list[RawSplit], list[str]]:
    """The train and the val split, or the only one; and the names of the others."""
    if len(source.splits) == 1:
        return list(source.splits), []
    roles = [
        [split for split in source.splits if split.name.lower().startswith(role)]
        for role in ("train", "val")
    ]
    if any(len(splits) != 1 for splits in roles):
        names = some([split.name for split in source.splits])
        raise UserError(
            f"{raw} has the splits {names}: say which one is train and which is val "
            "in the download section of params.yaml (download.directory.splits for a directory)"
        )
    chosen = [splits[0] for splits in roles]
    return chosen, [split.name for split in source.splits if split not in chosen]


@dataclass(frozen=True)
class _Part:
    """What one converted split is made of."""

    source: RawSplit
    documents: tuple[DocumentColumns, ...]
    images: FoundImages
    readings: Mapping[str, int]
    """How file names were read that are not those of files -> how many."""
    skipped: tuple[str, ...] = ()
    """File names of listed images that are missing."""
    ignored: tuple[str, ...] = ()
    """Documents that are not converted."""

    def only(self, chosen: npt.NDArray[np.bool_]) -> "_Part":
        """Return the same part with some of its images."""
        return replace(self, images=self.images.only(chosen), skipped=(), ignored=())


def _take(split: RawSplit, settings: ConvertSettings) -> _Part:
    """Parse a split's documents and find its images."""
    documents, ignored = _documents(split)
    give_back_memory()
    listed = dict(islice(_union(documents, split).items(), settings.subset))
    images, readings = _find(listed, split)
    is_there = images.rows >= 0
    missing = set(images.image_ids[~is_there].tolist())
    skipped = [image.file_name for image_id, image in listed.items() if image_id in missing]
    if skipped and settings.on_missing != "skip":
        raise UserError(
            f"{len(skipped)} of {len(listed)} images of {split.name} are missing in "
            f"{split.folder or '.'}/: {_with_near(skipped, split)}; add them, or set"
            " convert.on_missing to skip"
        )
    found = images.only(is_there)
    return _Part(split, tuple(documents), found, readings, tuple(skipped), tuple(ignored))


def _with_near(names: list[str], split: RawSplit) -> str:
    """The first few of some missing images, and what is there that may be the first."""
    there = near(names[0], split.images)
    return some(names) + (f" (there is {there})" if there else "")


def _find(
    images: "Mapping[int, _Listed]", split: RawSplit
) -> tuple[FoundImages, Mapping[str, int]]:
    """The images by id, with their files; the row of one that is missing is -1.

    And how their names were read that are not a file's own, with how many of them.
    """
    image_ids = sorted(images)
    names = [images[image_id].file_name for image_id in image_ids]
    found = meant(names, split.images)
    return FoundImages(
        np.array(image_ids, np.int64),
        pa.array(names, pa.string()),
        np.array([images[each].size or (0, 0) for each in image_ids], np.int32).reshape(-1, 2),
        split.images,
        found.rows,
    ), found.readings


def _documents(split: RawSplit) -> tuple[list[DocumentColumns], list[str]]:
    """The documents of a split in their order, and the files of those that aren't converted."""
    documents: list[DocumentColumns] = []
    ignored: list[str] = []
    for name in order(split.documents):
        document = read(split.documents[name], name=name)
        if document is None:
            ignored.append(split.documents[name].where)
        else:
            documents.append(document)
    if not documents:
        raise UserError(
            f"{split.name} has only panoptic annotations, {some(ignored)}: "
            "add its instances, captions or keypoints"
        )
    return documents, ignored


def _union(documents: Sequence[DocumentColumns], split: RawSplit) -> "dict[int, _Listed]":
    """The images of all documents by id, in the order of the first that lists them."""
    images: dict[int, _Listed] = {}
    for document in documents:
        for image_id, image in _listed(document):
            known = images.setdefault(image_id, image)
            if known.file_name != image.file_name and (
                path_of(known.file_name) != path_of(image.file_name)
            ):
                raise UserError(
                    f"{document.coco.where}: image {image_id} is "
                    f"{image.file_name}, but {known.file_name} in another document of "
                    f"{split.name}; make them agree"
                )
    names: dict[str, int] = {}
    for image_id, image in images.items():
        other = names.setdefault(path_of(image.file_name), image_id)
        if other != image_id:
            raise UserError(
                f"the images {other} and {image_id} of {split.name} are both "
                f"{image.file_name}; remove one of them from the annotations"
            )
    return images


@dataclass(frozen=True, slots=True)
class _Listed:
    """An image as a document lists it."""

    file_name: str
    size: tuple[int, int] | None
    """Annotated (width, height), if it can be one."""


def _listed(document: DocumentColumns) -> Iterator[tuple[int, _Listed]]:
    """Image id and what the document says of it, in the document's order."""
    columns = (document.images[name] for name in ("image_id", "file_name", "width", "height"))
    for image_id, name, width, height in zip(*map(_values, columns), strict=True):
        is_size = width and height and min(width, height) > 0
        yield image_id, _Listed(name, (width, height) if is_size else None)


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _require_same_categories(train: _Part, val: _Part) -> None:
    """Refuse splits in which one id means two things, or one name has two ids."""
    of_train = {document.name: document for document in train.documents}
    for document in val.documents:
        other = of_train.get(document.name)
        if other is None:
            continue
        difference = _difference(_names_by_id(other), _names_by_id(document))
        if difference:
            raise UserError(
                f"{other.coco.where} and {document.coco.where} disagree: {difference}; "
                "use the same categories in both"
            )


def _difference(one: Mapping[int, str], other: Mapping[int, str]) -> str | None:
    """Where the names of categories by id contradict each other; either may have more of them."""
    for category_id, name in sorted(other.items()):
        known = one.get(category_id, name)
        if known != name:
            return f"category {category_id} is {known!r} in the one and {name!r} in the other"
    ids = {name: category_id for category_id, name in one.items()}
    for category_id, name in sorted(other.items()):
        known_id = ids.get(name, category_id)
        if category_id not in one and known_id not in other:
            return f"{name!r} is category {known_id} in the one and {category_id} in the other"
    return None


def _names_by_id(document: DocumentColumns) -> dict[int, str]:
    return {category["id"]: category["name"] for category in document.coco.categories}


def _divide(part: _Part, validation_fraction: float) -> list[_Part]:
    shares = map(_share, part.images.image_ids.tolist())
    is_val = np.array([share < validation_fraction for share in shares], np.bool_)
    parts = [part.only(~is_val), part.only(is_val)]
    for name, its in zip(("training", "validation"), parts, strict=True):
        if not its.images:
            raise UserError(
                f"none of the {len(part.images)} images of {part.source.name} falls to {name} at "
                f"convert.validation_fraction {validation_fraction}; change it or add images"
            )
    return parts


def _share(image_id: int) -> float:
    """A number in [0, 1) that an image id always gets."""
    data = image_id.to_bytes(8, "little", signed=True)
    digest = blake2b(data, digest_size=8, person=b"division").digest()
    return int.from_bytes(digest, "little") / 2**64


def _write(parts: Mapping[Path, _Part], workers: int, *, decode: bool) -> list[SplitConversion]:
    """Write every part into its folder: images by the threads, tables beside them in this one."""
    total = sum(len(part.images) for part in parts.values())
    with (
        tqdm(total=total, desc="convert", unit="image", disable=None) as progress,
        writing(workers) as pool,
    ):
        jobs = {
            out: start_store(pool, out, part.images, where=part.source.name, decode=decode)
            for out, part in parts.items()
        }
        tables = _write_tables(parts)
        return [
            SplitConversion(
                source=part.source.name,
                stored=finish_store(jobs[out], progress.update),
                annotations=tables[out].annotations,
                odd_boxes=tables[out].odd_boxes,
            )
            for out, part in parts.items()
        ]


@dataclass
class _Tables:
    """What the annotation tables of a split hold, while they are written."""

    annotations: dict[str, int] = field(default_factory=dict)
    """How many each document has."""
    odd_boxes: OddBoxes = field(default_factory=OddBoxes)


def _write_tables(parts: Mapping[Path, _Part]) -> dict[Path, _Tables]:
    """Write the annotation tables of all parts; what they hold, by folder."""
    held = {out: _Tables() for out in parts}
    # Parts of a divided split have the same documents, each of which is read once.
    documents = {id(one): one for part in parts.values() for one in part.documents}
    for one in documents.values():
        with ExitStack() as stack:
            tables = {
                out: stack.enter_context(
                    new_table(out, one, part.images.image_ids, source=part.source.name)
                )
                for out, part in parts.items()
                if any(one is its for its in part.documents)
            }
            for objects in one.annotations():
                for out, table in tables.items():
                    taken, sizes = table.add(objects)
                    if one.name == PRIMARY:
                        held[out].odd_boxes += _odd_boxes(taken, sizes)
        for out, table in tables.items():
            held[out].annotations[one.name] = table.objects
    return held


def _odd_boxes(objects: Annotations, sizes: npt.NDArray[np.float64]) -> OddBoxes:
    """Count them among the boxes that are numbers."""
    boxes, has_box = given_boxes(objects.rows)
    return count_odd(odd_boxes(boxes, sizes[has_box]))
