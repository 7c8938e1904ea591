"""A converted split as a Hugging Face dataset."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.documents import PRIMARY
from cocopipe.export import detection
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import read_table

if TYPE_CHECKING:
    from datasets import Dataset, Features


def load(split_dir: Path) -> "Dataset":
    """Open a converted split as a ``datasets.Dataset``, in the order of its table.

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
    images = datasets.Dataset.from_parquet([str(path) for path in store.paths])
    chosen = images.select(store.numbers(table["sha256"]).tolist())
    own = chosen.select_columns(["width", "height"]).with_format("numpy")
    columns = pa.table(
        {
            **{name: table[name] for name in ("image_id", "file_name")},
            **{name: pc.coalesce(table[name], pa.array(own[name])) for name in ("width", "height")},
            "objects": columns_of_objects(table["objects"].combine_chunks(), list(names)),
        },
        schema=datasets.Features(
            {name: kind for name, kind in features.items() if name != "image"}
        ).arrow_schema,
    )
    told = datasets.Dataset(columns)
    both = datasets.concatenate_datasets([told, chosen.select_columns(["image"])], axis=1)
    return both.select_columns(list(features))


def features_of(names: Iterable[str]) -> "Features":
    """The columns of a dataset with classes of these names."""
    import datasets

    return datasets.Features(
        {
            "image_id": datasets.Value("int64"),
            "file_name": datasets.Value("string"),
            "width": datasets.Value("int32"),
            "height": datasets.Value("int32"),
            "image": datasets.Image(),
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
