"""Writing annotation tables, whose objects need not fit into memory."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cocopipe.convert.columns import DocumentColumns
from cocopipe.convert.found import Placed
from cocopipe.convert.gathered import Gathered, give_back_memory
from cocopipe.convert.renumber import offsets, with_originals
from cocopipe.convert.settings import Role
from cocopipe.split import fields
from cocopipe.split.boxes import OddBoxes, Oddity, count_odd, odd_boxes
from cocopipe.split.layout import KEY, LAYOUT
from cocopipe.split.objects import annotated_sizes, given_boxes
from cocopipe.split.tables import LISTS, TABLE_ROW_GROUP, TABLE_SCHEMA

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """A document of one split of the raw data, and where its images went."""

    split: str
    gathered: Gathered
    placed: Placed
    """Of the images that it lists, in their order."""
    added: int = 0
    """What is added to the ids of images, which other splits have too."""


@dataclass(frozen=True)
class Written:
    """What a table holds."""

    annotations: int
    odd_boxes: OddBoxes
    doubtful: tuple[str, ...]
    """Images that EXIF asks to turn, whose annotated size does not tell whether they were turned
    when they were annotated, and that have boxes outside."""


def write_tables(
    name: str, parts: Sequence[Part], folders: Mapping[Role, Path]
) -> dict[Role, Written]:
    """Write ``annotations/<name>.parquet`` into the folder of each role.

    Args:
        name: of the document.
        parts: at least one; images are placed among the same roles in all of them.
        folders: role -> its split's folder.
    """
    ids = [part.gathered.object_ids() for part in parts if len(parts) > 1]
    added = offsets(ids, "annotation") if ids else [0]
    roles = parts[0].placed.names
    with ExitStack() as stack:
        tables = [
            stack.enter_context(_Table(folders[role], name, parts, number))
            for number, role in enumerate(roles)
        ]
        for part, of_objects in zip(parts, added, strict=True):
            for these, images, objects in part.gathered.groups():
                placed = part.placed.taken(these)
                rows = _rows(part, images, placed, _renumbered(objects, of_objects))
                for number, table in enumerate(tables):
                    is_its = placed.roles == number
                    table.add(rows.filter(pa.array(is_its)), placed.taken(np.flatnonzero(is_its)))
    return {role: table.written for role, table in zip(roles, tables, strict=True)}


def _rows(part: Part, images: pa.Table, placed: Placed, objects: Any) -> pa.Table:
    columns = {name: images[name].combine_chunks() for name in fields.IMAGE.names}
    if part.added:
        columns["extra"] = with_originals(columns["extra"], columns["image_id"].to_numpy())
        columns["image_id"] = pc.add(columns["image_id"], part.added)
    shards = pa.DictionaryArray.from_arrays(
        pa.array(placed.shards), pa.array(placed.shard_names, pa.string())
    )
    columns |= {
        "source": pa.array([part.split] * len(images), pa.string()),
        "sha256": pa.array(placed.hex(), pa.string()),
        "shard": shards.cast(pa.string()),
        "row": pa.array(placed.rows),
        "turn": pa.array(placed.turns),
        "objects": objects,
    }
    return pa.Table.from_arrays([columns[each] for each in TABLE_SCHEMA.names], schema=TABLE_SCHEMA)


def _renumbered(lists: Any, added: int) -> Any:
    """Objects whose ids are so much larger; as documents have them, they are in ``extra``."""
    if not added:
        return lists
    structs = lists.flatten()
    columns = {each.name: structs.field(each.name) for each in structs.type}
    columns["extra"] = with_originals(columns["extra"], columns["id"].to_numpy())
    columns["id"] = pc.add(columns["id"], added)
    values = pa.StructArray.from_arrays(list(columns.values()), fields=list(fields.OBJECT))
    return pa.ListArray.from_arrays(lists.offsets, values, type=LISTS)


class _Table:
    """One table in the making."""

    def __init__(self, split_dir: Path, name: str, parts: Sequence[Part], role: int) -> None:
        folder = split_dir / "annotations"
        folder.mkdir(exist_ok=True)
        self._schema = TABLE_SCHEMA.with_metadata(_metadata_of(name, parts, role))
        path = folder / f"{name}.parquet"
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows = self._schema.empty_table()
        self._annotations = 0
        self._odd = OddBoxes()
        self._doubtful: list[str] = []

    @property
    def written(self) -> Written:
        """What it holds."""
        return Written(self._annotations, self._odd, tuple(self._doubtful))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._write(len(self._rows))
        self._writer.close()

    def add(self, rows: pa.Table, placed: Placed) -> None:
        """Add images with their objects, and where they are."""
        objects = rows["objects"].combine_chunks().flatten()
        self._annotations += len(objects)
        image, boxes = _given(rows, objects)
        self._odd += count_odd(odd_boxes(boxes, annotated_sizes(rows)[image]))
        self._doubtful += _doubtful(rows, placed, image, boxes)
        self._rows = pa.concat_tables([self._rows, rows.cast(self._schema)])
        if len(self._rows) >= TABLE_ROW_GROUP:
            self._write(TABLE_ROW_GROUP)

    def _write(self, count: int) -> None:
        if count:
            self._writer.write_table(self._rows.slice(0, count))
            self._rows = self._rows.slice(count)
            give_back_memory()


def _metadata_of(name: str, parts: Sequence[Part], role: int) -> dict[str, str]:
    categories: dict[int, dict[str, Any]] = {}
    per_category: Counter[int] = Counter()
    sources = []
    for part in parts:
        coco = part.gathered.document.coco
        for category in coco.categories:
            categories.setdefault(category["id"], category)
        is_its = part.placed.roles == role
        annotations, counts = part.gathered.counts(is_its)
        per_category.update(counts)
        sources.append(
            {
                "split": part.split,
                "coco": coco.top,
                # The document may lack the list; an empty one is another document.
                "has_annotations": coco.has_annotations,
                "images": int(is_its.sum()),
                "annotations": annotations,
            }
        )
    return _metadata(name, list(categories.values()), sources, per_category)


def write_empty(name: str, document: DocumentColumns, split_dir: Path) -> None:
    """Write the table of a split without images, with the categories of another's document."""
    folder = split_dir / "annotations"
    folder.mkdir(exist_ok=True)
    metadata = _metadata(name, document.coco.categories, [], {})
    schema = TABLE_SCHEMA.with_metadata(metadata)
    pq.write_table(schema.empty_table(), folder / f"{name}.parquet", compression="zstd")


def _metadata(
    name: str,
    categories: Sequence[Mapping[str, Any]],
    sources: Sequence[Mapping[str, Any]],
    per_category: Mapping[int, int],
) -> dict[str, str]:
    summary = {
        "document": name,
        "images": sum(each["images"] for each in sources),
        "has_annotations": any(each["has_annotations"] for each in sources),
        "annotations": sum(each["annotations"] for each in sources),
        "per_category": {
            str(category["id"]): per_category.get(category["id"], 0) for category in categories
        },
    }
    return {
        KEY.decode(): str(LAYOUT),
        "categories": json.dumps(categories),
        "sources": json.dumps(sources),
        "summary": json.dumps(summary),
    }


def _given(rows: pa.Table, objects: pa.StructArray) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The boxes that are numbers, [K, 4], and the rows of their images, [K]."""
    boxes, has_box = given_boxes(objects)
    counts = pc.list_value_length(rows["objects"]).to_numpy()
    return np.repeat(np.arange(len(rows)), counts)[has_box], boxes


def _doubtful(rows: pa.Table, placed: Placed, image: Ints, boxes: Any) -> list[str]:
    """Images that EXIF asks to turn, of which some box is outside and the size tells nothing."""
    sizes = annotated_sizes(rows)
    tells_nothing = sizes[:, 0] == sizes[:, 1]
    is_asked = (placed.exif != 1) & (placed.turns == 1) & tells_nothing
    is_outside = odd_boxes(boxes, placed.sizes[image]) == Oddity.OUTSIDE
    found = np.unique(image[is_outside & is_asked[image]])
    names: list[str] = rows["file_name"].take(pa.array(found)).to_pylist()
    return names
