"""A converted split as a Hugging Face dataset."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.coco.document import PRIMARY
from cocopipe.coco.store import ImageStore
from cocopipe.coco.tables import categories, read_table

if TYPE_CHECKING:
    from datasets import Dataset


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

    labels = _names(categories(split_dir))
    table = read_table(split_dir, PRIMARY)
    store = ImageStore(split_dir)
    features = datasets.Features(
        {
            "image_id": datasets.Value("int64"),
            "objects": {
                "id": datasets.List(datasets.Value("int64")),
                "bbox": datasets.List(datasets.List(datasets.Value("float64"))),
                "category": datasets.List(datasets.ClassLabel(names=list(labels.values()))),
                "area": datasets.List(datasets.Value("float64")),
                "iscrowd": datasets.List(datasets.Value("bool")),
            },
        }
    )
    columns = pa.table(
        {"image_id": table["image_id"], "objects": _objects(table, list(labels))},
        schema=features.arrow_schema,
    )
    images = datasets.Dataset.from_parquet([str(path) for path in store.paths])
    # The store may hold images that only other documents list.
    listed = pc.is_in(pa.array(store.image_ids), value_set=columns["image_id"].combine_chunks())
    if not pc.all(listed).as_py():
        images = images.select(pc.indices_nonzero(listed).to_pylist())
    objects = datasets.Dataset(columns).remove_columns("image_id")
    return datasets.concatenate_datasets([images, objects], axis=1)


def _names(listed: list[dict[str, Any]]) -> dict[int, str]:
    """Category id to name; a name that two categories share gets the id behind it."""
    count = Counter(category["name"] for category in listed)
    return {
        category["id"]: category["name"]
        if count[category["name"]] == 1
        else f"{category['name']} ({category['id']})"
        for category in listed
    }


def _objects(table: pa.Table, category_ids: list[int]) -> pa.StructArray:
    """The table's list of structs as a struct of lists, labels instead of category ids."""
    lists = table["objects"].combine_chunks()
    values = lists.flatten()
    columns = {name: values.field(name) for name in ("id", "bbox", "area", "iscrowd")}
    columns["category"] = pc.index_in(
        values.field("category_id"), value_set=pa.array(category_ids, pa.int64())
    ).cast(pa.int64())
    names = ("id", "bbox", "category", "area", "iscrowd")
    return pa.StructArray.from_arrays(
        [pa.ListArray.from_arrays(lists.offsets, columns[name]) for name in names], names
    )
