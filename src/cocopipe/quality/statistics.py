"""The figures of a converted split."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cocopipe.documents import PRIMARY
from cocopipe.split.boxes import Oddity, are_usable, count_odd, odd_boxes
from cocopipe.split.objects import DETECTION_FIELDS, Objects, annotated_sizes, object_columns
from cocopipe.split.tables import categories, read_table

SMALL, MEDIUM = 32**2, 96**2
"""COCO's borders between small, medium and large objects, in pixels of area."""

WITHOUT_BOX = len(Oddity)
"""What an object has for an oddity that has no box."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """A distribution in pixels."""

    minimum: float
    p10: float
    median: float
    p90: float
    maximum: float

    @staticmethod
    def of(values: npt.NDArray[Any]) -> "Spread | None":
        """The distribution of some values; None without any."""
        if not len(values):
            return None
        return Spread(*(float(value) for value in np.percentile(values, [0, 10, 50, 90, 100])))


@dataclass(frozen=True)
class Sizes:
    """Objects by area, as COCO's metrics tell them apart; crowds and odd boxes aside."""

    small: int
    """Below 32 x 32 pixels."""
    medium: int
    large: int
    """96 x 96 pixels and more."""


@dataclass(frozen=True)
class OddObjects:
    """Objects without a usable box; each counts once."""

    without_box: int
    not_finite: int
    degenerate: int
    """Width or height of zero or less; never used in training."""
    outside: int
    """More than a pixel over the image's border."""
    annotation_ids: list[int]
    """The ids of the first twenty of them."""


@dataclass(frozen=True)
class CategoryFigures:
    """One category of a split."""

    id: int
    name: str
    objects: int
    """How many objects are of it, crowds included."""
    images: int
    """How many images have at least one object of it."""
    crowd: int


@dataclass(frozen=True)
class Statistics:
    """One split, as ``statistics.json`` has it under ``train`` and ``val``."""

    images: int
    annotations: int
    images_without_objects: int
    crowd: int
    crowd_share: float
    """The share of annotations that are crowds; 0 without any."""
    objects_per_image: float
    """The mean number of annotations an image."""
    sizes: Sizes
    box_width: Spread | None
    """The widths of the boxes that ``sizes`` counts; None without any."""
    box_height: Spread | None
    image_width: Spread | None
    image_height: Spread | None
    odd: OddObjects
    categories: list[CategoryFigures]
    """The categories in the document's order, the unused ones included."""

    def metrics(self) -> dict[str, float]:
        """The figures that are worth following from version to version."""
        return {
            "images": self.images,
            "annotations": self.annotations,
            "images_without_objects": self.images_without_objects,
            "objects_per_image": self.objects_per_image,
            "crowd_share": self.crowd_share,
            "categories_used": sum(category.objects > 0 for category in self.categories),
            "objects_small": self.sizes.small,
            "objects_medium": self.sizes.medium,
            "objects_large": self.sizes.large,
            "boxes_missing": self.odd.without_box,
            "boxes_not_finite": self.odd.not_finite,
            "boxes_degenerate": self.odd.degenerate,
            "boxes_outside": self.odd.outside,
        }


@dataclass(frozen=True)
class MeasuredObjects:
    """The objects of a split, M of them in N images, with what statistics need."""

    columns: Objects
    image_sizes: Floats
    """Width and height of each image, [N, 2]; infinite where the document doesn't say."""

    def __len__(self) -> int:
        return len(self.columns)

    @cached_property
    def usable(self) -> npt.NDArray[np.bool_]:
        """The objects that count in size statistics, [M]."""
        return ~self.columns.is_crowd & are_usable(self.columns.boxes_xywh)

    @cached_property
    def oddities(self) -> npt.NDArray[np.uint8]:
        """An `Oddity` of each box, [M]; `WITHOUT_BOX` where there is none."""
        found = odd_boxes(self.columns.boxes_xywh, self.image_sizes[self.columns.image])
        found[~self.columns.has_box] = WITHOUT_BOX
        return found

    @cached_property
    def areas(self) -> Floats:
        """The areas as annotated, else of the box, in pixels, [M]."""
        boxes, areas = self.columns.boxes_xywh, self.columns.areas
        with np.errstate(over="ignore"):  # an infinite area is a large one
            return np.where(np.isfinite(areas), areas, boxes[:, 2] * boxes[:, 3])

    @cached_property
    def category_ids(self) -> npt.NDArray[np.int64]:
        """The category of each object, -1 where it has none, [M]."""
        return np.asarray(self.columns.rows.field("category_id").fill_null(-1), np.int64)


def measure(split_dir: Path) -> MeasuredObjects:
    """Read the ``instances`` table of a split into columns.

    Raises:
        UserError: the split has no such table.
    """
    table = read_table(split_dir, PRIMARY, ["width", "height", *object_columns(DETECTION_FIELDS)])
    return MeasuredObjects(Objects(table["objects"].combine_chunks()), annotated_sizes(table))


def statistics(split_dir: Path, objects: MeasuredObjects) -> Statistics:
    """Count what a split holds.

    Args:
        split_dir: the split, for its categories.
        objects: what `measure` read of the same split.
    """
    images = len(objects.image_sizes)
    columns, annotations = objects.columns, len(objects)
    usable = objects.usable
    areas = objects.areas[usable]
    known = objects.image_sizes[np.isfinite(objects.image_sizes).all(1)]
    counted = count_odd(objects.oddities)
    return Statistics(
        images=images,
        annotations=annotations,
        images_without_objects=images - len(np.unique(columns.image)),
        crowd=int(columns.is_crowd.sum()),
        crowd_share=float(columns.is_crowd.mean()) if annotations else 0.0,
        objects_per_image=annotations / images if images else 0.0,
        sizes=Sizes(
            small=int((areas < SMALL).sum()),
            medium=int(((areas >= SMALL) & (areas < MEDIUM)).sum()),
            large=int((areas >= MEDIUM).sum()),
        ),
        box_width=Spread.of(columns.boxes_xywh[usable, 2]),
        box_height=Spread.of(columns.boxes_xywh[usable, 3]),
        image_width=Spread.of(known[:, 0]),
        image_height=Spread.of(known[:, 1]),
        odd=OddObjects(
            without_box=int((objects.oddities == WITHOUT_BOX).sum()),
            not_finite=counted.not_finite,
            degenerate=counted.degenerate,
            outside=counted.outside,
            annotation_ids=columns.ids[objects.oddities != Oddity.NONE][:20].tolist(),
        ),
        categories=[_category(category, objects) for category in categories(split_dir)],
    )


def _category(category: dict[str, Any], objects: MeasuredObjects) -> CategoryFigures:
    own = objects.category_ids == category["id"]
    return CategoryFigures(
        id=category["id"],
        name=category["name"],
        objects=int(own.sum()),
        images=len(np.unique(objects.columns.image[own])),
        crowd=int(objects.columns.is_crowd[own].sum()),
    )
