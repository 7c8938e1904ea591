"""An annotation table as columns of numbers and hashes, for comparing versions of it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cocopipe.diff.fingerprints import Hashes, fingerprints, mix
from cocopipe.diff.matching import Flags, HashedObjects, Ints
from cocopipe.documents import ABSENT
from cocopipe.split.fields import OF_IMAGE, OF_OBJECT, Field
from cocopipe.split.ids import document_ids
from cocopipe.split.objects import Objects
from cocopipe.split.tables import PLACE, TABLE_SCHEMA, categories, open_table, sources

ROWS = 1024
"""Images whose rows are in memory at a time."""

Json = Mapping[str, Any]

_OF_IMAGE = frozenset(
    {"image_id", "position", "file_name", "objects", "extra", *(field.name for field in PLACE)}
)
_OF_OBJECT = frozenset({"id", "position", "category_id", "bbox", "extra"})

_ID_ALONE = r'^\{"id":-?\d+\}$'


@dataclass(frozen=True)
class Columns:
    """A table of N images and M objects."""

    ids: Ints
    """The ids of the images as the document has them, [N]."""
    sources: Any
    """The splits of the raw data that they come from, a ``pa.ChunkedArray`` [N]."""
    file_names: Any
    """The names as written, a ``pa.ChunkedArray`` [N]."""
    source_hash: Hashes
    """A hash of each of those splits, [N]."""
    name_hash: Hashes
    """A hash of each file name, [N]."""
    file_hash: Hashes
    """A hash of the bytes of each file, [N]."""
    fields_hash: Hashes
    """A hash of what else the document has of an image, but for its place, [N]."""
    objects: HashedObjects
    """Their ``image`` is the row of the image, 0 to N - 1."""

    def __len__(self) -> int:
        return len(self.ids)


def read_categories(split_dir: Path | None, document: str) -> Sequence[Json]:
    """The categories that a document lists; none where there is no split.

    Raises:
        UserError: no converted split, or no such document.
    """
    return [] if split_dir is None else categories(split_dir, document)


def read_tops(split_dir: Path | None, document: str) -> dict[str, Json]:
    """What documents have besides images and annotations, by the split of the raw data.

    Raises:
        UserError: no converted split, or no such document.
    """
    listed = [] if split_dir is None else sources(split_dir, document)
    return {each.split: each.coco for each in listed}


def read_columns(split_dir: Path | None, document: str, names: Sequence[str | None]) -> Columns:
    """Read a document's table, ``ROWS`` images at a time; nothing where there is no split.

    Args:
        split_dir: a converted split, of which only the table is read.
        document: the name of the document.
        names: of categories; a category's number is its name's place. None stands for objects
            without a category, or with one that the document does not list.

    Raises:
        UserError: no converted split, or no such document.
    """
    numbers = {name: number for number, name in enumerate(names)}
    listed = read_categories(split_dir, document)
    number_of = {one["id"]: numbers[one["name"]] for one in listed}
    parts = [
        _columns(batch, first, number_of, numbers[None])
        for first, batch in _batches(split_dir, document)
    ]
    objects = [part.objects for part in parts]
    return Columns(
        ids=np.concatenate([part.ids for part in parts]),
        sources=pa.chunked_array([part.sources for part in parts]),
        file_names=pa.chunked_array([part.file_names for part in parts]),
        source_hash=np.concatenate([part.source_hash for part in parts]),
        name_hash=np.concatenate([part.name_hash for part in parts]),
        file_hash=np.concatenate([part.file_hash for part in parts]),
        fields_hash=np.concatenate([part.fields_hash for part in parts]),
        objects=HashedObjects(
            *(
                np.concatenate([getattr(one, each.name) for one in objects])
                for each in fields(HashedObjects)
            )
        ),
    )


def _batches(split_dir: Path | None, document: str) -> Iterator[tuple[int, Any]]:
    """The rows of a table in batches, each with the number of its first; an empty one before."""
    yield 0, pa.RecordBatch.from_pylist([], schema=TABLE_SCHEMA)
    if split_dir is None:
        return
    first = 0
    with open_table(split_dir, document) as file:
        for batch in file.iter_batches(batch_size=ROWS):
            yield first, batch
            first += len(batch)


def _columns(batch: Any, first: int, number_of: Mapping[int, int], no_category: int) -> Columns:
    columns = {name: batch[name] for name in batch.schema.names}
    rest = {name: column for name, column in columns.items() if name not in _OF_IMAGE}
    rest["extra"] = _without_columns(columns, OF_IMAGE)
    return Columns(
        ids=document_ids(batch["image_id"], batch["extra"]),
        sources=batch["source"],
        file_names=batch["file_name"],
        source_hash=fingerprints(batch["source"]),
        name_hash=fingerprints(batch["file_name"]),
        file_hash=fingerprints(batch["sha256"]),
        fields_hash=_hash_present(rest, len(batch)),
        objects=_objects(Objects(batch["objects"]), first, number_of, no_category),
    )


def _objects(
    objects: Objects, first: int, number_of: Mapping[int, int], no_category: int
) -> HashedObjects:
    columns = {each.name: objects.rows.field(each.name) for each in objects.rows.type}
    category, is_unlisted = _categories(columns["category_id"], number_of, no_category)
    rest = {name: column for name, column in columns.items() if name not in _OF_OBJECT}
    rest["extra"] = _without_columns(columns, OF_OBJECT)
    rest_hash = _hash_present(rest, len(objects))
    # It has no name to compare, but is still written there.
    rest_hash[is_unlisted] += fingerprints(columns["category_id"])[is_unlisted]
    return HashedObjects(
        image=first + objects.image,
        ids=document_ids(columns["id"], columns["extra"]),
        category=category,
        boxes=objects.boxes_xywh,
        box_hash=fingerprints(columns["bbox"]),
        rest_hash=rest_hash,
    )


def _categories(
    category_ids: Any, number_of: Mapping[int, int], no_category: int
) -> tuple[Ints, Flags]:
    """The number of each object's category, and whether it has one that is not listed."""
    listed = pa.array(number_of, pa.int64())
    numbers = np.array([*number_of.values(), no_category])
    places = pc.index_in(category_ids, value_set=listed).fill_null(len(listed))
    has_one = category_ids.is_valid().to_numpy(zero_copy_only=False)
    is_listed = places.to_numpy() < len(listed)
    return numbers[places.to_numpy()], has_one & ~is_listed


def _without_columns(columns: Mapping[str, Any], known: Sequence[Field]) -> Any:
    """The column ``extra`` with what no column has: not how something was written that was read.

    Nor which image an object is of, which its place says. Keys are in the order of the alphabet.
    """
    is_read: dict[str, Flags] = {}
    for field in known:
        found = columns[field.column].is_valid().to_numpy(zero_copy_only=False)
        is_read[field.key] = is_read.get(field.key, False) | found
    every = np.ones(len(columns["extra"]), np.bool_)
    is_read |= {"image_id": every, ABSENT: every}
    # Most have nothing, the same as others, or an id that the table has otherwise.
    is_id = pc.fill_null(pc.match_substring_regex(columns["extra"], _ID_ALONE), False)
    encoded = pc.if_else(is_id, None, columns["extra"]).dictionary_encode()
    present, rows = np.unique(encoded.indices.fill_null(-1), return_index=True)
    first = dict(zip(present.tolist(), rows.tolist(), strict=True))
    rest = [
        _only(json.loads(text), first[number], is_read)
        for number, text in enumerate(encoded.dictionary.to_pylist())
    ]
    return pa.array(rest, pa.string()).take(encoded.indices)


def _only(entry: Mapping[str, Any], row: int, is_read: Mapping[str, Flags]) -> str | None:
    kept = {
        key: value for key, value in entry.items() if key not in is_read or not is_read[key][row]
    }
    return json.dumps(kept, sort_keys=True) if kept else None


def _hash_present(columns: Mapping[str, Any], length: int) -> Hashes:
    """One hash of what each row holds.

    A null adds nothing: a table compares that was written when there were other columns.
    """
    total = np.zeros(length, np.uint64)
    for name, column in columns.items():
        if column.null_count < len(column):
            salt = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
            hashes = mix(fingerprints(column) ^ np.uint64(salt))
            hashes[column.is_null().to_numpy(zero_copy_only=False)] = 0
            total += hashes
    return total
