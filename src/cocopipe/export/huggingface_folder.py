"""Converted splits as a folder that Hugging Face's `datasets` opens."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import yaml

from cocopipe.documents import PRIMARY
from cocopipe.errors import UserError
from cocopipe.export import detection
from cocopipe.export.huggingface_columns import columns_of_objects, features_of
from cocopipe.files import PARTIAL
from cocopipe.split.shards import image_writer

FILE_BYTES = 500 * 10**6
"""What the images of one file hold, unless a few alone are larger; `push_to_hub` does the same."""

_SPLITS = {"val": "validation"}
"""The Hub's names where they are not ours."""


@dataclass(frozen=True)
class HubSplit:
    """What was written of one split."""

    split: str
    """The split's name in the dataset."""
    images: int
    objects: int
    files: int
    unlisted: int
    """Images left out: documents other than ``instances`` list them."""
    turned: int = 0
    """Images whose EXIF asks to turn them, which `datasets` does, annotated as they are stored."""

    def __str__(self) -> str:
        notes = f"; left out {self.unlisted} images without boxes" if self.unlisted else ""
        if self.turned:
            notes += f"; {self.turned} images that datasets turns, by their EXIF, and boxes not"
        return f"{self.split}, {self.images} images, {self.objects} objects{notes}"


def export_hf(
    split_dirs: Sequence[Path], out: Path, *, advance: Callable[[int], object] = lambda _: None
) -> list[HubSplit | detection.LeftOut]:
    """Write converted splits as a folder that ``datasets.load_dataset`` opens, with no more code.

    ::

        README.md                           the dataset card
        data/train-00000-of-00001.parquet   with the columns that `load` gives
        data/validation-…

    Image files are untouched. The layout is the one that ``push_to_hub`` writes; the columns'
    types are in each file's metadata under ``huggingface``, as `datasets` puts them there.

    Args:
        split_dirs: folders that the convert stage wrote; ``val`` becomes ``validation``.
        out: an existing folder, empty.
        advance: told how many more images are written.

    Returns:
        What was written and left out, by split.

    Raises:
        UserError: not a converted split, or none has ``instances``, or one no image in them;
            categories that differ.
    """
    split_dirs, left = detection.with_boxes(split_dirs)
    names = detection.class_names(split_dirs)
    schema = features_of(names.values()).arrow_schema
    (out / "data").mkdir()
    done = [
        _export(split_dir, out / "data", schema, list(names), advance) for split_dir in split_dirs
    ]
    (out / "README.md").write_text(_card(done, len(names)), encoding="utf-8", newline="\n")
    return [*done, *left]


def _export(
    split_dir: Path,
    folder: Path,
    schema: pa.Schema,
    category_ids: list[int],
    advance: Callable[[int], object],
) -> HubSplit:
    split = _SPLITS.get(split_dir.name, split_dir.name)
    files: list[Path] = []
    images = objects = turned = 0
    with ExitStack() as stack:
        held_bytes = 0
        for batch in detection.boxed_images(split_dir):
            size_bytes = batch.files.nbytes
            if not files or held_bytes + size_bytes > FILE_BYTES:
                stack.close()
                files.append(folder / f"{split}-{len(files):05d}{PARTIAL}")
                writer = stack.enter_context(image_writer(files[-1], schema))
                held_bytes = 0
            writer.write_table(_rows(batch, schema, category_ids))
            held_bytes += size_bytes
            advance(len(batch.rows))
            images += len(batch.rows)
            objects += len(batch.objects.flatten())
            turned += batch.turned_unlike_boxes()
    if not files:
        raise UserError(
            f"the {PRIMARY} of {split_dir} list no image, and `datasets` opens no empty split:"
            " add images to it"
        )
    for path in files:  # only now it is known how many they are
        path.rename(folder / f"{path.stem}-of-{len(files):05d}.parquet")
    return HubSplit(split, images, objects, len(files), detection.unlisted(split_dir), turned)


def _rows(batch: detection.BoxedImages, schema: pa.Schema, category_ids: list[int]) -> pa.Table:
    rows = batch.rows
    columns = {
        "image_id": rows["image_id"],
        "file_name": rows["file_name"],
        "width": pa.array(batch.sizes[:, 0]),
        "height": pa.array(batch.sizes[:, 1]),
        "image": pa.StructArray.from_arrays(
            [batch.files, rows["file_name"].combine_chunks()], ["bytes", "path"]
        ),
        "objects": columns_of_objects(batch.objects, category_ids),
    }
    return pa.table(columns, schema=schema)


_CARD = """\
---
{metadata}---

# Objects in images

| split | images | objects |
|---|---|---|
{splits}

| column | |
|---|---|
| `image_id`, `file_name` | of the image in the COCO document |
| `width`, `height` | pixels, as annotated |
| `image` | the original file |
| `objects.id` | of the annotation in the COCO document |
| `objects.bbox` | x, y, width, height in pixels, from the upper left corner |
| `objects.category` | one of {classes} named classes, numbered from 0 |
| `objects.area` | pixels |
| `objects.iscrowd` | the box is around a crowd of objects |
"""


def _card(splits: Sequence[HubSplit], classes: int) -> str:
    """The README, whose head is for the Hub (huggingface.co/docs/hub/datasets-cards)."""
    files = [{"split": each.split, "path": f"data/{each.split}-*"} for each in splits]
    metadata = {
        "task_categories": ["object-detection"],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    rows = (f"| {each.split} | {each.images} | {each.objects} |" for each in splits)
    head = yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True)
    return _CARD.format(metadata=head, splits="\n".join(rows), classes=classes)
