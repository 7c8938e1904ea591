"""What changed between two versions of a split, as values."""

from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa


class Side(StrEnum):
    """One of the two versions."""

    BEFORE = "before"
    AFTER = "after"


class Kind(StrEnum):
    """What happened to an object; the first that fits."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"
    """Another category, whether or not the box is another one too."""
    MOVED = "moved"
    """Another box."""
    OTHER = "other"
    """Another segmentation, area, caption, or anything else but category and box."""


CHANGED_OBJECTS = pa.schema(
    [
        pa.field("image_id_before", pa.int64(), nullable=False),
        pa.field("image_id_after", pa.int64(), nullable=False),
        pa.field("change", pa.string(), nullable=False),  # a Kind
        pa.field("id_before", pa.int64()),  # of the annotation; null where it was added
        pa.field("id_after", pa.int64()),  # null where it was removed
        pa.field("category_before", pa.string()),
        pa.field("category_after", pa.string()),
        pa.field("iou", pa.float64()),  # of both boxes; null where there is one object
    ]
)


@dataclass(frozen=True)
class Image:
    """An image of one version."""

    image_id: int
    file_name: str
    boxes: int
    """Its objects, which may lack a box."""


@dataclass(frozen=True)
class ChangedImage:
    """An image of both versions."""

    before: Image
    after: Image


@dataclass(frozen=True)
class ImageChanges:
    """Images; one that both versions have is listed once, under the first that fits."""

    before: int
    after: int
    added: tuple[Image, ...]
    removed: tuple[Image, ...]
    replaced: tuple[ChangedImage, ...]
    """Other file bytes, whatever else."""
    renumbered: tuple[ChangedImage, ...]
    """The same file under another id."""
    renamed: tuple[ChangedImage, ...]
    """The same file under another name."""
    relisted: tuple[ChangedImage, ...]
    """Another width or height, or another of the fields that the document has of it."""


@dataclass(frozen=True)
class BoxChanges:
    """Objects, which may lack a box; of images that both versions have but for the last two."""

    before: int
    """All of the version."""
    after: int
    added: int
    removed: int
    moved: int
    relabelled: int
    other: int
    unchanged: int
    renumbered: int
    """Of those that both versions have: with another id, which is no change."""
    of_added_images: int
    of_removed_images: int
    iou_mean: float | None
    """Of the moved; None without any. 0 is the IoU of what is no finite box with an area."""
    iou_least: float | None


@dataclass(frozen=True)
class CategoryChanges:
    """The objects of one category, of all images."""

    name: str | None
    """None: without a category."""
    before: int
    after: int
    added: int
    """Those of added images included."""
    removed: int
    """Those of removed images included."""
    moved: int
    relabelled_to: int
    """Of this category now."""
    relabelled_from: int
    """Of this category before."""
    other: int

    @property
    def changes(self) -> int:
        """How many objects changed."""
        return (
            self.added
            + self.removed
            + self.moved
            + self.relabelled_to
            + self.relabelled_from
            + self.other
        )


@dataclass(frozen=True)
class Relabelled:
    """Objects that went from one category to another."""

    before: str | None
    after: str | None
    count: int


@dataclass(frozen=True)
class Renumbered:
    """A category of both versions with other ids; it has several where its name is there twice."""

    name: str
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True)
class ListedCategories:
    """The categories that the documents list, used or not."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renumbered: tuple[Renumbered, ...]
    edited: tuple[str, ...]
    """In another field than name and id, such as the supercategory."""


@dataclass(frozen=True)
class ChangedBoxes:
    """How many objects of an image changed."""

    before: Image
    after: Image
    added: int
    removed: int
    moved: int
    relabelled: int
    other: int

    @property
    def changes(self) -> int:
        """All together."""
        return self.added + self.removed + self.moved + self.relabelled + self.other


@dataclass(frozen=True)
class Changes:
    """What is different in the second of two versions of a split."""

    document: str
    images: ImageChanges
    boxes: BoxChanges
    categories: tuple[CategoryChanges, ...]
    """By name, those without changes included."""
    listed: ListedCategories
    relabelled: tuple[Relabelled, ...]
    """Most first."""
    by_image: tuple[ChangedBoxes, ...]
    """Of the images that both versions have and whose objects changed; most changes first."""
    document_fields: tuple[str, ...]
    """Top-level fields of the document that differ, such as ``info``; categories aside."""
    objects: pa.Table = field(repr=False)
    """The objects behind the counts, as ``CHANGED_OBJECTS``, in the order of images."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is different."""
        parts = (
            getattr(group, each.name)
            for group in (self.images, self.listed)
            for each in fields(group)
        )
        lists = [part for part in parts if isinstance(part, tuple)]
        return not any((*lists, self.by_image, self.document_fields))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, but for ``objects``."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if each.name != "objects"
        }


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
