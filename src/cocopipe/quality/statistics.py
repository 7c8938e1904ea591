"""The figures of a converted split."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.documents import PRIMARY
from cocopipe.split.boxes import boxes_of, count_odd, odd_boxes
from cocopipe.split.tables import categories, read_table

SMALL, MEDIUM = 32**2, 96**2
"""COCO's borders between small, medium and large objects, in pixels of area."""

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
        """Of at least one value."""
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
    """The first twenty."""


@dataclass(frozen=True)
class Category:
    """One category of a split."""

    id: int
    name: str
    objects: int
    """Crowds included."""
    images: int
    """With at least one object of it."""
    crowd: int


@dataclass(frozen=True)
class Statistics:
    """One split, as ``statistics.json`` has it under ``train`` and ``val``."""

    images: int
    annotations: int
    images_without_objects: int
    crowd: int
    crowd_share: float
    """Of the annotations; 0 without any."""
    objects_per_image: float
    """Mean."""
    sizes: Sizes
    box_width: Spread | None
    """Of the boxes that ``sizes`` counts; None without any."""
    box_height: Spread | None
    image_width: Spread | None
    image_height: Spread | None
    odd: OddObjects
    categories: list[Category]
    """In the document's order, the unused ones included."""

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

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
class Objects:
    """The objects of a split in columns, N of them in M images."""

    ids: npt.NDArray[np.int64]
    image: npt.NDArray[np.int64]
    """Row of the object's image, 0 to M - 1."""
    category_ids: npt.NDArray[np.int64]
    crowd: npt.NDArray[np.bool_]
    boxes: Floats
    """xywh in pixels, [N, 4]; NaN without box."""
    areas: Floats
    """As annotated, else of the box."""
    kinds: npt.NDArray[np.uint8]
    """0 for a usable box; see :func:`cocopipe.split.boxes.odd_boxes`; 4 without box."""
    image_sizes: Floats
    """Width and height of each image, [M, 2]; infinite where the document doesn't say."""

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """The objects that count in size statistics."""
        return np.logical_and(~self.crowd, np.isin(self.kinds, (0, 3)))


def read_objects(split_dir: Path) -> Objects:
    """Read the ``instances`` table of a split into columns.

    Raises:
        UserError: the split has no such table.
    """
    table = read_table(split_dir, PRIMARY)
    sizes = np.stack([_floats(table[name], np.inf) for name in ("width", "height")], axis=1)
    lists = table["objects"].combine_chunks()
    image = pc.list_parent_indices(lists).to_numpy()
    items = lists.flatten()
    bbox = items.field("bbox")
    has_box = bbox.is_valid().to_numpy(zero_copy_only=False)
    boxes = boxes_of(bbox)
    kinds = odd_boxes(boxes, sizes[image])
    kinds[~has_box] = 4
    areas = _floats(items.field("area"), np.nan)
    with np.errstate(over="ignore"):  # an infinite area is a large one
        box_areas = boxes[:, 2] * boxes[:, 3]
    return Objects(
        ids=items.field("id").to_numpy(),
        image=image,
        category_ids=items.field("category_id").fill_null(-1).to_numpy(),
        crowd=items.field("iscrowd").fill_null(False).to_numpy(zero_copy_only=False),
        boxes=boxes,
        areas=np.where(np.isfinite(areas), areas, box_areas),
        kinds=kinds,
        image_sizes=sizes,
    )


def _floats(column: "pa.Array | pa.ChunkedArray", missing: float) -> Floats:
    values = column.cast(pa.float64()).fill_null(missing).to_numpy(zero_copy_only=False)
    return np.asarray(values, np.float64)


def statistics(split_dir: Path, objects: Objects) -> Statistics:
    """Count what a split holds.

    Args:
        split_dir: the split, for its categories.
        objects: of the same split.
    """
    images = len(objects.image_sizes)
    annotations = len(objects.ids)
    usable = objects.usable
    areas = objects.areas[usable]
    known = objects.image_sizes[np.isfinite(objects.image_sizes).all(1)]
    counted = count_odd(objects.kinds)
    return Statistics(
        images=images,
        annotations=annotations,
        images_without_objects=images - len(np.unique(objects.image)),
        crowd=int(objects.crowd.sum()),
        crowd_share=float(objects.crowd.mean()) if annotations else 0.0,
        objects_per_image=annotations / images if images else 0.0,
        sizes=Sizes(
            small=int((areas < SMALL).sum()),
            medium=int(((areas >= SMALL) & (areas < MEDIUM)).sum()),
            large=int((areas >= MEDIUM).sum()),
        ),
        box_width=Spread.of(objects.boxes[usable, 2]),
        box_height=Spread.of(objects.boxes[usable, 3]),
        image_width=Spread.of(known[:, 0]),
        image_height=Spread.of(known[:, 1]),
        odd=OddObjects(
            without_box=int((objects.kinds == 4).sum()),
            not_finite=counted.not_finite,
            degenerate=counted.degenerate,
            outside=counted.outside,
            annotation_ids=objects.ids[objects.kinds > 0][:20].tolist(),
        ),
        categories=[_category(category, objects) for category in categories(split_dir)],
    )


def _category(category: dict[str, Any], objects: Objects) -> Category:
    own = objects.category_ids == category["id"]
    return Category(
        id=category["id"],
        name=category["name"],
        objects=int(own.sum()),
        images=len(np.unique(objects.image[own])),
        crowd=int(objects.crowd[own].sum()),
    )
