"""What changed between two versions of a converted split.

Images are the same by the bytes of their files, else by file name; objects as
:mod:`cocopipe.diff.matching` says; categories by name. Neither the order of a document nor the
ids of its annotations count as changes, nor how values are written.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.convert.canonical import undecorated
from cocopipe.diff.answer import (
    CHANGED_OBJECTS,
    BoxChanges,
    CategoryChanges,
    Change,
    ChangedBoxes,
    ChangedImage,
    Changes,
    ImageChanges,
    ListedCategories,
    ListedImage,
    Relabelled,
    Renumbered,
)
from cocopipe.diff.columns import Columns, Json, read_categories, read_columns, read_tops
from cocopipe.diff.fingerprints import join
from cocopipe.diff.matching import Floats, HashedObjects, Ints, Pairing, Pairs, ious, match
from cocopipe.documents import PRIMARY

IOU = 0.5
"""Boxes that overlap less are not the same object, unless their id says so."""


def compare(
    before: Path | None,
    after: Path | None,
    *,
    document: str = PRIMARY,
    iou: float = IOU,
) -> Changes:
    """Compare two versions of a converted split, from their tables alone; no image is read.

    Memory holds the boxes of both versions and a hash for the rest of an object.

    Args:
        before: the split's folder with ``annotations/<document>.parquet``; None: there was no
            such split.
        after: likewise; None: there is none any more.
        document: which of its documents.
        iou: the least IoU by which an object is known whose id does not tell, above 0.

    Raises:
        UserError: no converted split, or no such document.
    """
    listed = read_categories(before, document), read_categories(after, document)
    names = [*sorted({category["name"] for each in listed for category in each}), None]
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda each: read_columns(each, document, names), (before, after))
    rows = _pair_images(one, other)
    found = _find(_shared(one, rows[0]), _shared(other, rows[1]), iou)
    return Changes(
        document=document,
        images=_image_changes(one, other, rows),
        boxes=_box_changes(one, other, found),
        categories=_category_changes(one, other, found, names),
        listed=_listed_categories(*listed),
        relabelled=_relabelled(found, names),
        by_image=_by_image(one, other, rows, found),
        document_fields=_document_fields(read_tops(before, document), read_tops(after, document)),
        objects=_changed_objects(one, other, rows, found, names),
    )


def _pair_images(before: Columns, after: Columns) -> Pairs:
    """The rows of images that both versions have. An id alone proves nothing: tools count anew."""
    pairing = Pairing(len(before), len(after))
    files = before.file_hash, after.file_hash
    names = before.name_hash, after.name_hash
    ids = before.ids.view(np.uint64), after.ids.view(np.uint64)
    sources = before.source_hash, after.source_hash
    # Of copies, those with one name are the same, else those with one id; in one source first.
    for key in (files, names, ids), (files, names), (files, ids), (files,), (names, ids), (names,):
        for each in (*key, sources), key:
            pairing.add_equal(*(join(*side) for side in zip(*each, strict=True)))
    one, other = (_by_plain_name(*side) for side in zip((before, after), pairing.free, strict=True))
    both = one.keys() & other.keys()
    pairing.add(*(np.array([side[name] for name in both], np.int64) for side in (one, other)))
    return pairing.pairs


def _by_plain_name(columns: Columns, rows: Ints) -> dict[str, int]:
    """Those of the rows whose name, without what tools add and suffix, no other of them has."""
    names = list(map(undecorated, columns.file_names.take(pa.array(rows)).to_pylist()))
    count = Counter(names)
    return {name: row for name, row in zip(names, rows.tolist(), strict=True) if count[name] == 1}


def _others(length: int, rows: Ints) -> Ints:
    """The rows, of so many, that are not among these."""
    is_other = np.ones(length, np.bool_)
    is_other[rows] = False
    return np.flatnonzero(is_other)


def _shared(columns: Columns, rows: Ints) -> HashedObjects:
    """The objects of images that both versions have; their ``image`` is the place in ``rows``."""
    places = np.full(len(columns), -1, np.int64)
    places[rows] = np.arange(len(rows))
    objects = replace(columns.objects, image=places[columns.objects.image])
    return objects.take(objects.image >= 0)


@dataclass(frozen=True)
class _Found:
    """The objects of images that both versions have, and the C changes of them."""

    before: HashedObjects
    after: HashedObjects
    kind: npt.NDArray[np.str_]
    """What happened to each object, a `Change`, [C]."""
    row_before: Ints
    """The object's row of ``before``, -1 where there is none, [C]."""
    row_after: Ints
    """The object's row of ``after``, -1 where there is none, [C]."""
    unchanged: int
    renumbered: int

    def categories(self, kind: Change) -> Pairs:
        """The categories before and after of objects that changed in this way."""
        rows = (each[self.kind == kind] for each in (self.row_before, self.row_after))
        before, after = (each[each >= 0] for each in rows)
        return self.before.category[before], self.after.category[after]

    @property
    def image(self) -> Ints:
        """The ``image`` of the objects, [C]."""
        return _either(self.before.image, self.row_before, self.after.image, self.row_after)

    @property
    def iou(self) -> Floats:
        """NaN where there is one object, [C]."""
        overlap = np.full(len(self.kind), np.nan)
        both = (self.row_before >= 0) & (self.row_after >= 0)
        boxes = self.before.boxes[self.row_before[both]], self.after.boxes[self.row_after[both]]
        overlap[both] = ious(*boxes)
        return overlap


def _either(before: Ints, row_before: Ints, after: Ints, row_after: Ints) -> Ints:
    """The value before, or the one after where there is no row before."""
    values = np.empty(len(row_before), np.int64)
    is_before = row_before >= 0
    values[is_before] = before[row_before[is_before]]
    values[~is_before] = after[row_after[~is_before]]
    return values


def _find(before: HashedObjects, after: HashedObjects, threshold: float) -> _Found:
    one, other = match(before, after, threshold)
    kind = np.select(
        [
            before.category[one] != after.category[other],
            before.box_hash[one] != after.box_hash[other],
            before.rest_hash[one] != after.rest_hash[other],
        ],
        [Change.RELABELLED, Change.MOVED, Change.OTHER],
        "",
    )
    is_changed = kind != ""
    removed, added = _others(len(before), one), _others(len(after), other)
    kinds = [kind[is_changed], [Change.REMOVED] * len(removed), [Change.ADDED] * len(added)]
    return _Found(
        before,
        after,
        np.concatenate([np.asarray(each, np.str_) for each in kinds]),
        np.concatenate([one[is_changed], removed, np.full(len(added), -1)]),
        np.concatenate([other[is_changed], np.full(len(removed), -1), added]),
        unchanged=int((~is_changed).sum()),
        renumbered=int((before.ids[one] != after.ids[other]).sum()),
    )


def _images(columns: Columns, rows: Ints) -> list[ListedImage]:
    sources, names = (
        column.take(pa.array(rows)).to_pylist() for column in (columns.sources, columns.file_names)
    )
    boxes = np.bincount(columns.objects.image, minlength=len(columns))[rows]
    values = zip(sources, columns.ids[rows].tolist(), names, boxes.tolist(), strict=True)
    return [ListedImage(*each) for each in values]


def _image_changes(before: Columns, after: Columns, rows: Pairs) -> ImageChanges:
    one, other = rows
    differs = {
        "replaced": before.file_hash[one] != after.file_hash[other],
        "renumbered": before.ids[one] != after.ids[other],
        "renamed": before.name_hash[one] != after.name_hash[other],
        "relisted": before.fields_hash[one] != after.fields_hash[other],
    }
    changed = {
        name: tuple(map(ChangedImage, _images(before, one[which]), _images(after, other[which])))
        for name, which in differs.items()
    }
    return ImageChanges(
        before=len(before),
        after=len(after),
        added=tuple(_images(after, _others(len(after), other))),
        removed=tuple(_images(before, _others(len(before), one))),
        **changed,
    )


def _box_changes(before: Columns, after: Columns, found: _Found) -> BoxChanges:
    count = {kind: int((found.kind == kind).sum()) for kind in Change}
    moved = np.sort(found.iou[found.kind == Change.MOVED])  # their sum depends on the order
    return BoxChanges(
        before=len(before.objects),
        after=len(after.objects),
        added=count[Change.ADDED],
        removed=count[Change.REMOVED],
        moved=count[Change.MOVED],
        relabelled=count[Change.RELABELLED],
        other=count[Change.OTHER],
        unchanged=found.unchanged,
        renumbered=found.renumbered,
        of_added_images=len(after.objects) - len(found.after),
        of_removed_images=len(before.objects) - len(found.before),
        iou_mean=float(moved.mean()) if len(moved) else None,
        iou_least=float(moved.min()) if len(moved) else None,
    )


def _category_changes(
    before: Columns, after: Columns, found: _Found, names: Sequence[str | None]
) -> tuple[CategoryChanges, ...]:
    def count(categories: Ints) -> Ints:
        return np.bincount(categories, minlength=len(names))

    all_before, all_after = count(before.objects.category), count(after.objects.category)
    former, present = found.categories(Change.RELABELLED)
    columns = {
        "before": all_before,
        "after": all_after,
        # Of the images that both versions have, and all of the others.
        "added": count(found.categories(Change.ADDED)[1]) + all_after - count(found.after.category),
        "removed": count(found.categories(Change.REMOVED)[0])
        + all_before
        - count(found.before.category),
        "moved": count(found.categories(Change.MOVED)[1]),
        "relabelled_to": count(present),
        "relabelled_from": count(former),
        "other": count(found.categories(Change.OTHER)[1]),
    }
    values = zip(*(column.tolist() for column in columns.values()), strict=True)
    every = [
        CategoryChanges(name, **dict(zip(columns, counts, strict=True)))
        for name, counts in zip(names, values, strict=True)
    ]
    return tuple(one for one in every if one.name is not None or one.before or one.after)


def _relabelled(found: _Found, names: Sequence[str | None]) -> tuple[Relabelled, ...]:
    pairs = np.stack(found.categories(Change.RELABELLED), axis=1)
    distinct, counts = np.unique(pairs, axis=0, return_counts=True)
    return tuple(
        Relabelled(names[former], names[present], count)
        for count, (former, present) in sorted(
            zip(counts.tolist(), distinct.tolist(), strict=True), key=lambda one: (-one[0], one[1])
        )
    )


def _by_image(
    before: Columns, after: Columns, rows: Pairs, found: _Found
) -> tuple[ChangedBoxes, ...]:
    places, inverse = np.unique(found.image, return_inverse=True)
    counts = np.zeros((len(places), len(Change)), np.int64)
    for number, kind in enumerate(Change):
        counts[:, number] = np.bincount(inverse[found.kind == kind], minlength=len(places))
    order = np.lexsort((after.ids[rows[1][places]], -counts.sum(1)))
    pairs = zip(
        _images(before, rows[0][places[order]]), _images(after, rows[1][places[order]]), strict=True
    )
    return tuple(
        ChangedBoxes(*pair, **dict(zip(map(str, Change), numbers, strict=True)))
        for pair, numbers in zip(pairs, counts[order].tolist(), strict=True)
    )


def _changed_objects(
    before: Columns, after: Columns, rows: Pairs, found: _Found, names: Sequence[str | None]
) -> pa.Table:
    image = found.image
    sides = (found.before, found.row_before), (found.after, found.row_after)
    ids = [_masked(objects.ids, row) for objects, row in sides]
    all_names = pa.array(names, pa.string())
    categories = [all_names.take(_masked(objects.category, row)) for objects, row in sides]
    iou = pa.array(found.iou, from_pandas=True)  # NaN is null
    both = (before, rows[0][image]), (after, rows[1][image])
    image_sources = [each.sources.take(pa.array(its)) for each, its in both]
    image_ids = [pa.array(each.ids[its]) for each, its in both]
    columns = [*image_sources, *image_ids, pa.array(found.kind), *ids, *categories, iou]
    table = pa.Table.from_arrays(columns, schema=CHANGED_OBJECTS)
    in_order = ("source_after", "image_id_after", "change", "id_before", "id_after")
    return table.sort_by([(name, "ascending") for name in in_order])


def _masked(values: Ints, rows: Ints) -> Any:
    """The values at these rows, null for -1."""
    is_none = rows < 0
    taken = np.zeros(len(rows), np.int64)
    taken[~is_none] = values[rows[~is_none]]
    return pa.array(taken, mask=is_none)


def _listed_categories(before: Sequence[Json], after: Sequence[Json]) -> ListedCategories:
    one, other = _by_name(before), _by_name(after)
    both = sorted(one.keys() & other.keys())
    ids = {name: (_ids(one[name]), _ids(other[name])) for name in both}
    return ListedCategories(
        added=tuple(sorted(other.keys() - one.keys())),
        removed=tuple(sorted(one.keys() - other.keys())),
        renumbered=tuple(Renumbered(name, *ids[name]) for name in both if len(set(ids[name])) > 1),
        edited=tuple(name for name in both if _details(one[name]) != _details(other[name])),
    )


def _by_name(categories: Sequence[Json]) -> dict[str, list[Json]]:
    named: dict[str, list[Json]] = {}
    for category in categories:
        named.setdefault(category["name"], []).append(category)
    return named


def _ids(categories: Sequence[Json]) -> tuple[int, ...]:
    return tuple(sorted(category["id"] for category in categories))


def _details(categories: Sequence[Json]) -> list[str]:
    """What they have besides name and id, as text that can be compared."""
    return sorted(json.dumps({**each, "id": 0}, sort_keys=True) for each in categories)


def _document_fields(before: Mapping[str, Json], after: Mapping[str, Json]) -> tuple[str, ...]:
    """The fields that differ, by split of the raw data; the only one is the same by any name."""
    pairs = [(before[name], after[name]) for name in before.keys() & after.keys()]
    if len(before) == len(after) == 1:
        pairs = list(zip(before.values(), after.values(), strict=True))
    differ = {
        name
        for one, other in pairs
        for name in one.keys() | other.keys()
        if _as_text(one, name) != _as_text(other, name)
    }
    return tuple(sorted(differ - {"categories"}))


def _as_text(top: Json, name: str) -> str | None:
    return json.dumps(top[name], sort_keys=True) if name in top else None
