"""A converted split as a Hugging Face dataset."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.documents import PRIMARY
from cocopipe.export import detection
from cocopipe.split.images import ImageStore
from cocopipe.split.shards import SCHEMA
from cocopipe.split.tables import read_table

if TYPE_CHECKING:
    from datasets import Dataset, Features


def load(split_dir: Path) -> "Dataset":
    """Open a converted split as a ``datasets.Dataset``, in image-id order.

    The boxes and classes are in memory. The images are Arrow files in the
    Hugging Face cache: `datasets` makes them from the shards the first time a
    version of the split is opened, and maps them into memory from then on.

    Returns:
        One row per image: ``image_id``, ``file_name``, ``width``, ``height``,
        ``image`` (decoded by the ``Image`` feature) and ``objects``, a dict of
        lists: ``id``, ``bbox`` (x, y, width, height in pixels), ``category``
        (a ``ClassLabel``, numbered from 0 in the document's order of
        categories), ``area`` and ``iscrowd``.

    Raises:
        UserError: not a converted split, or one without an ``instances`` table.
    """
    import datasets  # takes seconds

    names = detection.class_names([split_dir])
    table = read_table(split_dir, PRIMARY, detection.COLUMNS)
    store = ImageStore(split_dir)
    features = features_of(names.values())
    columns = pa.table(
        {
            "image_id": table["image_id"],
            "objects": columns_of_objects(table["objects"].combine_chunks(), list(names)),
        },
        schema=datasets.Features(
            {name: features[name] for name in ("image_id", "objects")}
        ).arrow_schema,
    )
    images = datasets.Dataset.from_parquet([str(path) for path in store.paths])
    # The store may hold images that only other documents list.
    listed = pc.is_in(pa.array(store.image_ids), value_set=columns["image_id"].combine_chunks())
    if not pc.all(listed).as_py():
        images = images.select(pc.indices_nonzero(listed).to_pylist())
    objects = datasets.Dataset(columns).remove_columns("image_id")
    return datasets.concatenate_datasets([images, objects], axis=1)


def features_of(names: Iterable[str]) -> "Features":
    """The columns of a dataset with classes of these names."""
    import datasets

    return datasets.Features(
        {
            **datasets.Features.from_arrow_schema(SCHEMA),
            "objects": {
                "id": datasets.List(datasets.Value("int64")),
                "bbox": datasets.List(datasets.List(datasets.Value("float64"))),
                "category": datasets.List(datasets.ClassLabel(names=list(names))),
                "area": datasets.List(datasets.Value("float64")),
                "iscrowd": datasets.List(datasets.Value("bool")),
            },
        }
    )


def columns_of_objects(lists: pa.ListArray, category_ids: list[int]) -> pa.StructArray:
    """Lists of structs as a struct of lists, class numbers instead of category ids."""
    values = lists.flatten()
    offsets = pc.subtract(lists.offsets, lists.offsets[0])  # which do not start at 0 in a slice
    columns = {name: values.field(name) for name in ("id", "bbox", "area", "iscrowd")}
    columns["category"] = detection.class_numbers(values, category_ids)
    names = ("id", "bbox", "category", "area", "iscrowd")
    return pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(offsets, columns[name]) for name in names], names
    )
