"""Pictures of what changed between two versions of a split: each before and after."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from cocopipe.diff.answer import Change, ChangedBoxes, Changes, Key, ListedImage, Side
from cocopipe.drawing import draw
from cocopipe.errors import UserError
from cocopipe.pictures.examine import UnreadableImageError, decode
from cocopipe.pictures.turning import turned
from cocopipe.split.fields import read_object
from cocopipe.split.ids import document_ids
from cocopipe.split.images import ImageStore
from cocopipe.split.objects import Objects
from cocopipe.split.tables import categories, open_table, read_table

Read = Callable[[Side, ListedImage], bytes]
"""Gives the file of an image of one of the versions."""

NO_CATEGORY = "no category"

_TOLD = {kind: "otherwise changed" if kind == Change.OTHER else str(kind) for kind in Change}

_KEY = ("source", "image_id", "extra")
"""Columns that an image's key is read from."""

_COLUMNS = 2
_ROWS = 1024


@dataclass(frozen=True)
class ShownImage:
    """An image to show, as the two versions have it; None where one does not."""

    before: ListedImage | None
    after: ListedImage | None
    is_replaced: bool = False
    boxes: ChangedBoxes | None = None


def to_show(changes: Changes, pictures: int) -> list[ShownImage]:
    """Choose the most changed images.

    In turn one with changed boxes, a replaced, an added and a removed one, so that no kind
    hides the others: of the first those with the most changes, else those with the most boxes.
    """
    boxes_of = {one.after.key: one for one in changes.by_image}
    replaced = {one.after.key for one in changes.images.replaced}
    kinds: list[list[ShownImage]] = [
        [
            ShownImage(one.before, one.after, one.after.key in replaced, one)
            for one in changes.by_image
        ],
        [
            ShownImage(one.before, one.after, True)
            for one in sorted(changes.images.replaced, key=lambda one: _most_boxes(one.after))
            if one.after.key not in boxes_of
        ],
        [ShownImage(None, one) for one in sorted(changes.images.added, key=_most_boxes)],
        [ShownImage(one, None) for one in sorted(changes.images.removed, key=_most_boxes)],
    ]
    in_turn = chain.from_iterable(zip_longest(*kinds))
    return list(islice((one for one in in_turn if one is not None), pictures))


def _most_boxes(image: ListedImage) -> tuple[int, int, str]:
    return -image.boxes, image.image_id, image.source


def columns_by_key(split_dir: Path, document: str, column: str) -> dict[Key, Any]:
    """What a column of a table has of each image."""
    table = read_table(split_dir, document, [*_KEY, column])
    return dict(zip(_keys(table), table[column].to_pylist(), strict=True))


def _keys(rows: pa.Table | pa.RecordBatch) -> list[Key]:
    ids = document_ids(rows["image_id"], rows["extra"])
    return list(zip(rows["source"].to_pylist(), ids.tolist(), strict=True))


def read_from(before: Path | None, after: Path | None, document: str) -> Read:
    """Read image files of folders that have the shards of the images that are shown."""
    stores: dict[Side, tuple[ImageStore, dict[Key, str]]] = {}

    def read(side: Side, image: ListedImage) -> bytes:
        if side not in stores:
            split_dir = before if side == Side.BEFORE else after
            assert split_dir is not None, "a version without the split has no images"  # noqa: S101
            stores[side] = ImageStore(split_dir), columns_by_key(split_dir, document, "sha256")
        store, hashes = stores[side]
        return store.read(hashes[image.key])

    return read


def sheet_of_changes(
    changes: Changes,
    before: Path | None,
    after: Path | None,
    path: Path,
    *,
    read: Read,
    pictures: int,
) -> int:
    """Write a sheet of the most changed images, each before and after.

    Of an image that both versions have as it is, only the boxes that changed are drawn; of one
    that was added, removed or replaced, all of them.

    Args:
        changes: between the two versions.
        before: the split's folder, of which the table of ``changes.document`` is read; None:
            there was no such split.
        after: likewise.
        path: the PNG to write.
        read: called for the images of `to_show` alone.
        pictures: how many images to show.

    Returns:
        How many are shown; without any, nothing is written.

    Raises:
        UserError: no converted split, or a picture that can't be decoded.
    """
    shown = to_show(changes, pictures)
    if not shown:
        return 0
    versions = [
        _version(side, split_dir, changes, [getattr(one, side) for one in shown], read)
        for side, split_dir in ((Side.BEFORE, before), (Side.AFTER, after))
    ]
    draw.sheet([_pair(one, *versions) for one in shown], columns=_COLUMNS).save(path)
    return len(shown)


@dataclass(frozen=True)
class _Version:
    """What one version has of the images that are shown."""

    side: Side
    objects: Mapping[Key, list[dict[str, Any]]]
    """COCO annotations by image, with the numbers of ``names`` for categories."""
    changed: Mapping[Key, set[int]]
    """Ids of the annotations that changed, by image."""
    names: Mapping[int, str]
    read: Read
    turns: Mapping[Key, int]
    """How files are turned to be what was annotated, by image."""

    def picture(self, image: ListedImage, *, only_changed: bool) -> Image.Image:
        """An image with its objects."""
        try:
            stored = decode(self.read(self.side, image))
            pixels = turned(stored, self.turns.get(image.key, 1))
        except UnreadableImageError as error:
            raise UserError(
                f"image {image.image_id}, {image.file_name}, can't be decoded as it is"
                f" {self.side} ({error}): replace it in the source and convert again"
            ) from error
        changed = self.changed.get(image.key, set())
        objects = self.objects.get(image.key, [])
        drawn = [one for one in objects if not only_changed or one["id"] in changed]
        return draw.picture(pixels, drawn, self.names)


def _version(
    side: Side,
    split_dir: Path | None,
    changes: Changes,
    images: Sequence[ListedImage | None],
    read: Read,
) -> _Version:
    keys = {one.key for one in images if one is not None}
    numbers = {one.name: number for number, one in enumerate(changes.categories)}
    changed: dict[Key, set[int]] = {}
    columns = (f"source_{side}", f"image_id_{side}", f"id_{side}")
    ids = (changes.objects[name].to_pylist() for name in columns)
    for source, image_id, annotation_id in zip(*ids, strict=True):
        if (source, image_id) in keys:
            changed.setdefault((source, image_id), set()).add(annotation_id)
    document = changes.document
    return _Version(
        side=side,
        objects={} if split_dir is None else _objects(split_dir, document, keys, numbers),
        changed=changed,
        names={number: name or NO_CATEGORY for name, number in numbers.items()},
        read=read,
        turns={} if split_dir is None else columns_by_key(split_dir, document, "turn"),
    )


def _objects(
    split_dir: Path, document: str, keys: Set[Key], numbers: Mapping[str | None, int]
) -> dict[Key, list[dict[str, Any]]]:
    """The objects of these images, with ids as the document has them."""
    listed = categories(split_dir, document)
    number_of = {one["id"]: numbers[one["name"]] for one in listed}
    found: dict[Key, list[dict[str, Any]]] = {}
    with open_table(split_dir, document) as file:
        for batch in file.iter_batches(_ROWS, columns=[*_KEY, "objects"]):
            its = [(row, key) for row, key in enumerate(_keys(batch)) if key in keys]
            objects = Objects(batch["objects"].take(pa.array([row for row, _ in its], pa.int64())))
            ids = document_ids(objects.rows.field("id"), objects.rows.field("extra"))
            of_objects = zip(objects.image.tolist(), ids.tolist(), objects.rows, strict=True)
            for place, number, struct in of_objects:
                one = read_object(struct.as_py())
                category = number_of.get(one.get("category_id"), numbers.get(None))
                found.setdefault(its[place][1], []).append(
                    one | {"id": number, "category_id": category}
                )
    return found


def _pair(shown: ShownImage, before: _Version, after: _Version) -> Image.Image:
    only_changed = shown.before is not None and shown.after is not None and not shown.is_replaced
    drawn = [
        version.picture(image, only_changed=only_changed)
        for version, image in ((before, shown.before), (after, shown.after))
        if image is not None
    ]
    return draw.sheet(drawn, columns=2, captions=_captions(shown))


def _captions(shown: ShownImage) -> list[str]:
    """A caption for each picture."""
    before, after = shown.before, shown.after
    if before is None or after is None:
        return [
            f"{_name(image)}, {what} with {image.boxes} boxes"
            for image, what in ((before, "removed"), (after, "added"))
            if image is not None
        ]
    parts = [] if _name(before) == _name(after) else [_name(after)]
    parts.append("after")
    if shown.is_replaced:
        parts.append("replaced")
    if shown.boxes is not None:
        counts = ((getattr(shown.boxes, kind), told) for kind, told in _TOLD.items())
        parts += [f"{count} {told}" for count, told in counts if count]
    return [f"{_name(before)}, before", ", ".join(parts)]


def _name(image: ListedImage) -> str:
    return f"{image.image_id} · {image.file_name}"
