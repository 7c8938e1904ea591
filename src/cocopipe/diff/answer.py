"""What changed between two versions of a split, as values."""

from dataclasses import dataclass, field, fields, is_dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa


class Side(StrEnum):
    """One of the two versions."""

    BEFORE = "before"
    AFTER = "after"


class Change(StrEnum):
    """What happened to an object; the first that fits."""

    ADDED = "added"
    REMOVED = "removed"
    RELABELLED = "relabelled"
    """The category is another one, whether or not the box is too."""
    MOVED = "moved"
    """The box is another one."""
    OTHER = "other"
    """Segmentation, area, caption or anything else is another one, but category and box."""


Key = tuple[str, int]
"""What an image is known by: the split of the raw data, and the id that it has there."""


CHANGED_OBJECTS = pa.schema(
    [
        pa.field("source_before", pa.string(), nullable=False),  # the split of the raw data
        pa.field("source_after", pa.string(), nullable=False),
        pa.field("image_id_before", pa.int64(), nullable=False),  # in the document of that
        pa.field("image_id_after", pa.int64(), nullable=False),
        pa.field("change", pa.string(), nullable=False),  # a Change
        pa.field("id_before", pa.int64()),  # of the annotation; null where it was added
        pa.field("id_after", pa.int64()),  # null where it was removed
        pa.field("category_before", pa.string()),
        pa.field("category_after", pa.string()),
        pa.field("iou", pa.float64()),  # of both boxes; null where there is one object
    ]
)


@dataclass(frozen=True)
class ListedImage:
    """An image of one version."""

    source: str
    """The split of the raw data that it comes from."""
    image_id: int
    """As the document of that has it, in which it is the only one."""
    file_name: str
    boxes: int
    """How many objects it has, which may lack a box."""

    @property
    def key(self) -> Key:
        """What tells it from the others of its version."""
        return self.source, self.image_id


@dataclass(frozen=True)
class ChangedImage:
    """An image of both versions."""

    before: ListedImage
    after: ListedImage


@dataclass(frozen=True)
class ImageChanges:
    """Images; one that both versions have is listed under each that fits."""

    before: int
    after: int
    added: tuple[ListedImage, ...]
    removed: tuple[ListedImage, ...]
    replaced: tuple[ChangedImage, ...]
    """Images whose file has other bytes under its old name, but for what tools add to it."""
    renumbered: tuple[ChangedImage, ...]
    """Images that have another id."""
    renamed: tuple[ChangedImage, ...]
    """Images that have another name."""
    relisted: tuple[ChangedImage, ...]
    """Images with another width or height, or another of the fields that the document has."""


@dataclass(frozen=True)
class BoxChanges:
    """Objects, which may lack a box; of images that both versions have but for the last two."""

    before: int
    """All objects of the version."""
    after: int
    added: int
    removed: int
    moved: int
    relabelled: int
    other: int
    unchanged: int
    renumbered: int
    """How many that both versions have got another id, which is no change."""
    of_added_images: int
    of_removed_images: int
    iou_mean: float | None
    """The mean over moved objects; None without any. A box that is not usable has an IoU of 0."""
    iou_least: float | None


@dataclass(frozen=True)
class CategoryChanges:
    """The objects of one category, of all images."""

    name: str | None
    """The category's name; None stands for objects without one."""
    before: int
    after: int
    added: int
    """How many were added, in added images too."""
    removed: int
    """How many were removed, in removed images too."""
    moved: int
    relabelled_to: int
    """How many are of this category now and were of another."""
    relabelled_from: int
    """How many were of this category and are of another now."""
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
    """Categories that differ in another field than name and id, such as the supercategory."""


@dataclass(frozen=True)
class ChangedBoxes:
    """How many objects of an image changed."""

    before: ListedImage
    after: ListedImage
    added: int
    removed: int
    moved: int
    relabelled: int
    other: int

    @property
    def changes(self) -> int:
        """How many objects changed in any way."""
        return self.added + self.removed + self.moved + self.relabelled + self.other


@dataclass(frozen=True)
class Changes:
    """What is different in the second of two versions of a split."""

    document: str
    images: ImageChanges
    boxes: BoxChanges
    categories: tuple[CategoryChanges, ...]
    """The categories by name, those without changes too."""
    listed: ListedCategories
    relabelled: tuple[Relabelled, ...]
    """The pairs of categories, most objects first."""
    by_image: tuple[ChangedBoxes, ...]
    """The images that both versions have and whose objects changed; most changes first."""
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
        """The changes as plain values, but for ``objects``."""
        return {
            each.name: _plain(getattr(self, each.name))
            for each in fields(self)
            if each.name != "objects"
        }


def _plain(value: Any) -> Any:
    """The value as JSON would give it back; `asdict` leaves tuples, of which that makes lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
