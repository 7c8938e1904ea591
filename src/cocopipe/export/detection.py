"""What formats for detection take of converted splits: classes, and images with their boxes.

Both are of the ``instances`` documents; images that only other documents list are not among them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError, some
from cocopipe.pictures.examine import examine
from cocopipe.split import tables
from cocopipe.split.images import ImageStore
from cocopipe.split.objects import DETECTION_FIELDS, object_columns

COLUMNS = [
    *("image_id", "file_name", "source", "width", "height", "sha256", "turn"),
    *object_columns(DETECTION_FIELDS),
]
"""All that is read of a table, as Parquet names it."""


@dataclass(frozen=True)
class BoxedImages:
    """Some images of a split with their objects; their files are in one row group of the store."""

    rows: pa.Table
    """The rows of the images, with ``COLUMNS``."""
    files: pa.BinaryArray
    """Their files."""
    sizes: npt.NDArray[np.int32]
    """Width and height of each as annotated, else of its file, pixels, [N, 2]."""

    @property
    def objects(self) -> pa.ListArray:
        """The structs of each image's objects, with ``DETECTION_FIELDS``."""
        return self.rows["objects"].combine_chunks()

    def turned_unlike_boxes(self) -> int:
        """How many of them programs turn that go by EXIF, though their boxes are not so."""
        turns = self.rows["turn"].to_pylist()
        files = zip(turns, self.files.to_pylist(), strict=True)
        return sum(turn == 1 and examine(data).is_turned for turn, data in files)


@dataclass(frozen=True)
class LeftOut:
    """A split without ``instances``, such as COCO's pictures for testing."""

    split: str
    images: int
    documents: Sequence[str]

    def __str__(self) -> str:
        has = some([*self.documents])
        return f"{self.split}, {self.images} images left out: it has no boxes, only {has}"


def with_boxes(split_dirs: Sequence[Path]) -> tuple[list[Path], list[LeftOut]]:
    """Those of the splits that have ``instances``, or all if none has; and the others."""
    boxed = [each for each in split_dirs if PRIMARY in tables.documents(each)] or [*split_dirs]
    left = [each for each in split_dirs if each not in boxed]
    return boxed, [
        LeftOut(each.name, len(_listed(each, documents)), documents)
        for each in left
        for documents in [tables.documents(each)]
    ]


def class_names(split_dirs: Sequence[Path]) -> dict[int, str]:
    """Category id to a name that no other has, in the order that numbers the classes from 0.

    That is the order of the first split's document; what it lacks comes behind.

    Raises:
        UserError: a split has no ``instances``; an id means two things.
    """
    named: dict[int, str] = {}
    for split_dir in split_dirs:
        for category in tables.categories(split_dir):
            known = named.setdefault(category["id"], category["name"])
            if known != category["name"]:
                raise UserError(
                    f"category {category['id']} is {known!r} in {split_dirs[0]} and"
                    f" {category['name']!r} in {split_dir}: convert them again, from one source"
                )
    return _told_apart(named)


def _told_apart(named: Mapping[int, str]) -> dict[int, str]:
    """A name that two categories share gets the id behind it."""
    names = dict(named)
    while len(count := Counter(names.values())) < len(names):
        names = {
            category_id: name if count[name] == 1 else f"{name} ({category_id})"
            for category_id, name in names.items()
        }
    return names


def class_numbers(objects: pa.StructArray, category_ids: Sequence[int]) -> pa.Array:
    """The class of each object, int64 [M]: where its category is among these, else null."""
    known = pa.array(category_ids, pa.int64())
    return pc.index_in(objects.field("category_id"), value_set=known).cast(pa.int64())


def boxed_images(split_dir: Path) -> Iterator[BoxedImages]:
    """All these images with their objects, nearly in the order of the table.

    In memory are one row group of the image store and one of the table.

    Raises:
        UserError: the split has no ``instances``; the image store lacks an image.
    """
    store = ImageStore(split_dir)
    with tables.open_table(split_dir, PRIMARY) as file:
        for number in range(file.num_row_groups):
            rows = file.read_row_group(number, COLUMNS)
            groups, places = store.places(rows["sha256"])
            order = np.lexsort((places, groups))
            borders = np.flatnonzero(np.diff(groups[order], prepend=-1, append=-1))
            for start, end in pairwise(borders.tolist()):
                its = order[start:end]
                files = store.read_group(int(groups[its[0]])).take(pa.array(places[its]))
                taken = rows.take(pa.array(its))
                yield BoxedImages(taken, files, _sizes(taken, files))


def _sizes(rows: pa.Table, files: pa.BinaryArray) -> npt.NDArray[np.int32]:
    sizes = np.stack(
        [rows[side].fill_null(0).to_numpy().astype(np.int32) for side in ("width", "height")],
        axis=1,
    )
    for place in np.flatnonzero((sizes <= 0).any(axis=1)).tolist():
        sizes[place] = examine(files[place].as_py()).size
    return sizes


def unlisted(split_dir: Path) -> int:
    """How many images other documents list, but not ``instances``."""
    others = [name for name in tables.documents(split_dir) if name != PRIMARY]
    return len(_listed(split_dir, others) - _listed(split_dir, [PRIMARY]))


def _listed(split_dir: Path, documents: Sequence[str]) -> set[str]:
    """The images that some of these documents list, by their files."""
    columns = (tables.read_table(split_dir, name, ["sha256"])["sha256"] for name in documents)
    return {sha256 for column in columns for sha256 in column.to_pylist()}
