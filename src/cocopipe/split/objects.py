"""The objects of an annotation table in columns of numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.documents import PRIMARY
from cocopipe.split.tables import categories, read_table

DETECTION_FIELDS = ("id", "category_id", "bbox", "area", "iscrowd")
"""All of an object that detection is about."""


def object_columns(fields: Iterable[str]) -> list[str]:
    """The names that Parquet has for fields of the objects, such as ``bbox``."""
    return [f"objects.list.element.{field}" for field in fields]


@dataclass(frozen=True)
class Objects:
    """The objects of N images, M of them, in the order of the table.

    A column is made when it is asked for; its field has to be among those that were read.
    """

    lists: pa.ListArray
    """The structs of each image's objects."""

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> pa.StructArray:
        """The structs of all objects, [M]."""
        return self.lists.flatten()

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """How many objects each image has, int64 [N]."""
        return np.asarray(pc.fill_null(pc.list_value_length(self.lists), 0), np.int64)

    @cached_property
    def image(self) -> npt.NDArray[np.int64]:
        """The row of each object's image, from 0 to N - 1, [M]."""
        return np.repeat(np.arange(len(self.lists)), self.counts)

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The ids of the annotations, int64 [M]."""
        return np.asarray(self.rows.field("id"), np.int64)

    @cached_property
    def is_crowd(self) -> npt.NDArray[np.bool_]:
        """Which objects are said to be many in one box, bool [M]."""
        return _flags(self.rows.field("iscrowd").fill_null(False))

    @cached_property
    def has_box(self) -> npt.NDArray[np.bool_]:
        """Which objects have four numbers for a box, [M]."""
        return self._given_boxes[1]

    @cached_property
    def boxes_xywh(self) -> npt.NDArray[np.float64]:
        """Boxes as annotated, in pixels, [M, 4]; NaN where there is none."""
        given, has_box = self._given_boxes
        boxes = np.full((len(has_box), 4), np.nan)
        boxes[has_box] = given
        return boxes

    @cached_property
    def _given_boxes(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        return given_boxes(self.rows)

    @property
    def areas(self) -> npt.NDArray[np.float64]:
        """The areas as annotated, in pixels, [M]; NaN where nobody says."""
        areas = self.rows.field("area").fill_null(np.nan)
        return np.asarray(areas.to_numpy(zero_copy_only=False), np.float64)


def read_objects(split_dir: Path, document: str, fields: Iterable[str]) -> Objects:
    """Read these fields of a document's objects.

    Raises:
        UserError: the split has no such document.
    """
    table = read_table(split_dir, document, object_columns(fields))
    return Objects(table["objects"].combine_chunks())


def ground_truth(split_dir: Path, document: str = PRIMARY) -> dict[str, Any]:
    """What a document says of images, categories and boxes, as a COCO document to score by.

    Ids are those of the table, each of one image or object, and values are numbers, however the
    source wrote them.

    Raises:
        UserError: the split has no such document.
    """
    columns = ["image_id", "width", "height", *object_columns(DETECTION_FIELDS)]
    table = read_table(split_dir, document, columns)
    objects = Objects(table["objects"].combine_chunks())
    image_ids = table["image_id"].to_numpy()[objects.image].tolist()
    return {
        "images": [
            {"id": row["image_id"], "width": row["width"], "height": row["height"]}
            for row in table.drop_columns(["objects"]).to_pylist()
        ],
        "annotations": [
            {"image_id": image_id}
            | {name: value for name, value in row.items() if value is not None}
            for image_id, row in zip(image_ids, objects.rows.to_pylist(), strict=True)
        ],
        "categories": categories(split_dir, document),
    }


def annotated_sizes(images: pa.Table) -> npt.NDArray[np.float64]:
    """The sizes of images as a document says, infinite where it says none that one can have.

    Args:
        images: N images, with ``width`` and ``height``.

    Returns:
        Width and height in pixels, [N, 2].
    """
    sides = [
        pc.fill_null(images[side].cast(pa.float64()), np.inf).to_numpy()
        for side in ("width", "height")
    ]
    sizes = np.stack(sides, axis=1)
    sizes[(sizes <= 0).any(axis=1)] = np.inf
    return sizes


def given_boxes(
    rows: pa.StructArray,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Read the boxes of the objects that have one.

    Args:
        rows: The structs of M objects, with ``bbox``.

    Returns:
        The K boxes as annotated, xywh in pixels, [K, 4]; and which objects have one, bool [M].
    """
    column = rows.field("bbox")
    numbers = np.asarray(column.drop_null().flatten().to_numpy(), np.float64)
    return numbers.reshape(-1, 4), _flags(column.is_valid())


def _flags(column: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.bool_)
