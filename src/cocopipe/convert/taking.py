"""What is taken of a split of the raw data: its documents, and the images that they list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cocopipe.coco.layout import RawSplit
from cocopipe.coco.naming import meant, near
from cocopipe.coco.paths import path_of
from cocopipe.coco.places import inside
from cocopipe.convert.canonical import are_uploaded, canonical
from cocopipe.convert.columns import DocumentColumns, read
from cocopipe.convert.found import FoundImages
from cocopipe.convert.gathered import Gathered
from cocopipe.convert.notes import Note
from cocopipe.convert.settings import ConvertSettings
from cocopipe.convert.unlisted import unlisted
from cocopipe.documents import order
from cocopipe.errors import UserError, some


@dataclass(frozen=True)
class Taken:
    """A split of the raw data, found sound but for annotations and the bytes of images."""

    split: str
    documents: tuple[Gathered, ...]
    images: FoundImages
    readings: Mapping[str, int]
    """How file names were read that are not those of files -> how many."""
    skipped: tuple[str, ...]
    """File names of listed images that are missing."""
    ignored: tuple[str, ...]
    """Documents that are not converted."""

    def notes(self) -> Iterator[Note]:
        """How its names and values were read, once the annotations were."""
        for how, count in self.readings.items():
            yield Note(f"file names read {how}", count, self.split)
        for one in (each.document for each in self.documents):
            yield from one.of_images.notes(self.split, "images")
            yield from one.of_annotations.notes(self.split, "annotations")


def take(
    splits: Sequence[RawSplit], others: Sequence[RawSplit], settings: ConvertSettings, aside: Path
) -> tuple[list[Taken], Note | None]:
    """Parse the documents of splits, but for their annotations, and find their images.

    Args:
        splits: what is taken.
        others: what is not.
        settings: how to go about it.
        aside: an empty folder for what memory should not hold.

    Returns:
        What is taken of each; and a note of image files in their folders that none of them lists,
        where all that they list is taken.

    Raises:
        UserError: they aren't sound; an image is missing.
    """
    parsed = [_parsed(split, settings) for split in splits]
    taken = [
        _taken(
            each,
            [other for other in parsed if other is not each],
            settings,
            aside / str(number),
        )
        for number, each in enumerate(parsed)
    ]
    if settings.subset is not None:
        return taken, None
    rows = [each.images.rows for each in taken]
    return taken, unlisted(splits, rows, [each.folder for each in others])


@dataclass(frozen=True)
class _Parsed:
    """A split whose documents were read; its images are still to be found."""

    split: RawSplit
    documents: Sequence[tuple[DocumentColumns, pa.Table]]
    ignored: tuple[str, ...]
    listed: "Mapping[int, _Listed]"

    @cached_property
    def exact(self) -> Sequence[str]:
        """The paths of files that it names exactly."""
        names = pa.array([image.file_name for image in self.listed.values()], pa.string())
        exact = names.filter(pa.array(self.split.images.rows(names) >= 0))
        return [inside(self.split.folder) + name for name in exact.to_pylist()]


def _parsed(split: RawSplit, settings: ConvertSettings) -> _Parsed:
    documents, ignored = _documents(split)
    listed = dict(islice(_union(documents, split).items(), settings.subset))
    return _Parsed(split, documents, tuple(ignored), listed)


def _taken(
    parsed: _Parsed, others: Sequence[_Parsed], settings: ConvertSettings, aside: Path
) -> Taken:
    split, listed = parsed.split, parsed.listed
    images, readings = _find(listed, split, others)
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
    documents = tuple(
        Gathered(one, listed, found.image_ids, aside.with_name(f"{aside.name}-{one.name}"))
        for one, listed in parsed.documents
    )
    return Taken(split.name, documents, found, readings, tuple(skipped), parsed.ignored)


def _with_near(names: list[str], split: RawSplit) -> str:
    """The first few of some missing images, and what is there that may be the first."""
    there = near(names[0], split.images)
    return some(names) + (f" (there is {there})" if there else "")


def _find(
    images: "Mapping[int, _Listed]", split: RawSplit, others: Sequence[_Parsed]
) -> tuple[FoundImages, Mapping[str, int]]:
    """The images with their files; the row of one that is missing is -1.

    And how their names were read that are not a file's own, with how many of them.
    """
    written = [image.file_name for image in images.values()]
    is_uploaded = are_uploaded(written)
    listed = pa.table(
        {
            "id": pa.array(images, pa.int64()),
            "name": pa.array(
                [canonical(name, is_uploaded=is_uploaded) for name in written], pa.string()
            ),
            "file_name": pa.array(written, pa.string()),
            "place": np.arange(len(written)),
        }
    )
    listed = listed.sort_by([("name", "ascending"), ("id", "ascending")]).combine_chunks()
    ids, canonicals, names, places = (column.combine_chunks() for column in listed.columns)

    def of_others() -> Iterator[int]:
        prefix = inside(split.folder)
        paths = (path for other in others for path in other.exact if path.startswith(prefix))
        relative = pa.array([path.removeprefix(prefix) for path in paths], pa.string())
        yield from split.images.rows(relative).tolist()

    found = meant(names.to_pylist(), split.images, of_others)
    sizes = np.array([image.size or (0, 0) for image in images.values()], np.int32).reshape(-1, 2)
    return FoundImages(
        canonicals, ids.to_numpy(), names, sizes[places.to_numpy()], split.images, found.rows
    ), found.readings


def _documents(split: RawSplit) -> tuple[list[tuple[DocumentColumns, pa.Table]], list[str]]:
    """The documents of a split in their order, and the files of those that aren't converted."""
    documents: list[tuple[DocumentColumns, pa.Table]] = []
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


def _union(
    documents: Sequence[tuple[DocumentColumns, pa.Table]], split: RawSplit
) -> "dict[int, _Listed]":
    """The images of all documents by id, in the order of the first that lists them."""
    images: dict[int, _Listed] = {}
    for document, listed in documents:
        for image_id, image in _listed(listed):
            known = images.setdefault(image_id, image)
            if known.size is None and image.size is not None:
                images[image_id] = replace(known, size=image.size)
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
    """Annotated (width, height), if there is one; it may be one that no image has."""


def _listed(images: pa.Table) -> Iterator[tuple[int, _Listed]]:
    """Image id and what a document says of it, in the document's order."""
    columns = (images[name] for name in ("image_id", "file_name", "width", "height"))
    for image_id, name, width, height in zip(*map(_values, columns), strict=True):
        is_given = width is not None and height is not None and (width, height) != (0, 0)
        yield image_id, _Listed(name, (width, height) if is_given else None)


def _values(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def require_same_categories(splits: Sequence[Taken]) -> None:
    """Refuse splits in which one id means two things, or one name has two ids."""
    seen: dict[str, list[DocumentColumns]] = {}
    for split in splits:
        for document in (each.document for each in split.documents):
            for other in seen.setdefault(document.name, []):
                difference = _difference(_names_by_id(other), _names_by_id(document))
                if difference:
                    raise UserError(
                        f"{other.coco.where} and {document.coco.where} disagree: {difference}; "
                        "use the same categories in both"
                    )
            seen[document.name].append(document)


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
