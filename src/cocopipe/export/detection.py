"""What formats for detection take of converted splits: classes, and images with their boxes.

Both are of the ``instances`` documents; images that only other documents list are not among them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError
from cocopipe.split import tables
from cocopipe.split.lookup import look_up
from cocopipe.split.objects import DETECTION_FIELDS, object_columns
from cocopipe.split.shards import ROW_GROUP, lacking, shard_paths, shards_with

COLUMNS = ["image_id", *object_columns(DETECTION_FIELDS)]
"""All that is read of a table, as Parquet names it."""


@dataclass(frozen=True)
class BoxedImages:
    """Some images of a shard, at most a row group of the store."""

    shard: Path
    images: pa.Table
    """The images as the store has them, ``ROW_GROUP`` rows at most."""
    objects: pa.ListArray
    """The structs of each image's objects, with ``DETECTION_FIELDS``."""


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


def shards(split_dir: Path) -> list[Path]:
    """The shards of the image store that these images lie in, in image-id order.

    Raises:
        UserError: the split has no ``instances``; the image store is empty, but not they.
    """
    paths, listed = shard_paths(split_dir), tables.image_ids(split_dir, PRIMARY).tolist()
    if listed and not paths:
        raise lacking(split_dir)
    needed = shards_with([path.name for path in paths], listed)
    return [path for path in paths if path.name in needed]


def boxed_images(split_dir: Path) -> Iterator[BoxedImages]:
    """All these images with their objects, in image-id order.

    In memory are one row group of the image store and one of the table.

    Raises:
        UserError: the split has no ``instances``; the image store lacks an image.
    """
    listed = tables.image_ids(split_dir, PRIMARY)
    with pq.ParquetFile(tables.table_path(split_dir, PRIMARY)) as table:
        rows = _Rows(table)
        for shard in shards(split_dir):
            for images in _images(shard, listed):
                its = rows.take(len(images))
                if its["image_id"].to_pylist() != images["image_id"].to_pylist():
                    raise lacking(shard)
                yield BoxedImages(shard, images, its["objects"].combine_chunks())
        if len(rows.take(1)):
            raise lacking(split_dir)


def _images(shard: Path, listed: npt.NDArray[np.int64]) -> Iterator[pa.Table]:
    """The images of a shard that are listed, some at a time."""
    with pq.ParquetFile(shard) as file:
        for batch in file.iter_batches(batch_size=ROW_GROUP):
            _, is_listed = look_up(batch["image_id"].to_numpy(), listed)
            images = batch.filter(pa.array(is_listed))
            if len(images):
                yield pa.Table.from_batches([images])


class _Rows:
    """The rows of an annotation table one after the other, as many at a time as are wanted."""

    def __init__(self, file: pq.ParquetFile) -> None:
        self._groups = (file.read_row_group(at, COLUMNS) for at in range(file.num_row_groups))
        self._held = file.read_row_groups([], COLUMNS)

    def take(self, count: int) -> pa.Table:
        """The next rows, fewer where there are no more."""
        while len(self._held) < count and (group := next(self._groups, None)) is not None:
            self._held = pa.concat_tables([self._held, group])
        taken, self._held = self._held.slice(0, count), self._held.slice(count)
        return taken
