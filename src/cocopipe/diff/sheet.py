"""Pictures of what changed between two versions of a split: each before and after."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from cocopipe.diff.answer import Change, ChangedBoxes, Changes, ListedImage, Side
from cocopipe.drawing import draw
from cocopipe.errors import UserError
from cocopipe.pictures.examine import UnreadableImageError, decode
from cocopipe.pictures.turning import turned
from cocopipe.split.fields import read_object
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import categories, open_table, read_table

Read = Callable[[Side, int], bytes]
"""Gives the image file of an id in one of the versions."""

NO_CATEGORY = "no category"

_TOLD = {kind: "otherwise changed" if kind == Change.OTHER else str(kind) for kind in Change}

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
    boxes_of = {one.after.image_id: one for one in changes.by_image}
    replaced = {one.after.image_id for one in changes.images.replaced}
    kinds: list[list[ShownImage]] = [
        [
            ShownImage(one.before, one.after, one.after.image_id in replaced, one)
            for one in changes.by_image
        ],
        [
            ShownImage(one.before, one.after, True)
            for one in sorted(changes.images.replaced, key=lambda one: _most_boxes(one.after))
            if one.after.image_id not in boxes_of
        ],
        [ShownImage(None, one) for one in sorted(changes.images.added, key=_most_boxes)],
        [ShownImage(one, None) for one in sorted(changes.images.removed, key=_most_boxes)],
    ]
    in_turn = chain.from_iterable(zip_longest(*kinds))
    return list(islice((one for one in in_turn if one is not None), pictures))


def _most_boxes(image: ListedImage) -> tuple[int, int]:
    return -image.boxes, image.image_id


def read_from(before: Path | None, after: Path | None, document: str) -> Read:
    """Read image files of folders that have the shards of the images that are shown."""
    stores: dict[Side, tuple[ImageStore, dict[int, str]]] = {}

    def read(side: Side, image_id: int) -> bytes:
        if side not in stores:
            split_dir = before if side == Side.BEFORE else after
            assert split_dir is not None, "a version without the split has no images"  # noqa: S101
            table = read_table(split_dir, document, ["image_id", "sha256"])
            hashes = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
            stores[side] = ImageStore(split_dir), hashes
        store, hashes = stores[side]
        return store.read(hashes[image_id])

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
    objects: Mapping[int, list[dict[str, Any]]]
    """COCO annotations by image id, with the numbers of ``names`` for categories."""
    changed: Mapping[int, set[int]]
    """Ids of the annotations that changed, by image id."""
    names: Mapping[int, str]
    read: Read
    turns: Mapping[int, int]
    """How files are turned to be what was annotated, by image id."""

    def picture(self, image: ListedImage, *, only_changed: bool) -> Image.Image:
        """An image with its objects."""
        try:
            stored = decode(self.read(self.side, image.image_id))
            pixels = turned(stored, self.turns.get(image.image_id, 1))
        except UnreadableImageError as error:
            raise UserError(
                f"image {image.image_id}, {image.file_name}, can't be decoded as it is"
                f" {self.side} ({error}): replace it in the source and convert again"
            ) from error
        changed = self.changed.get(image.image_id, set())
        objects = self.objects.get(image.image_id, [])
        drawn = [one for one in objects if not only_changed or one["id"] in changed]
        return draw.picture(pixels, drawn, self.names)


def _version(
    side: Side,
    split_dir: Path | None,
    changes: Changes,
    images: Sequence[ListedImage | None],
    read: Read,
) -> _Version:
    image_ids = pa.array([one.image_id for one in images if one is not None], pa.int64())
    numbers = {one.name: number for number, one in enumerate(changes.categories)}
    changed: dict[int, set[int]] = {}
    ids = changes.objects.select([f"image_id_{side}", f"id_{side}"])
    for image_id, annotation_id in zip(*_values_of(ids, image_ids), strict=True):
        changed.setdefault(image_id, set()).add(annotation_id)
    return _Version(
        side=side,
        objects={} if split_dir is None else _objects(split_dir, changes, image_ids, numbers),
        changed=changed,
        names={number: name or NO_CATEGORY for name, number in numbers.items()},
        read=read,
        turns={} if split_dir is None else _turns(split_dir, changes.document),
    )


def _turns(split_dir: Path, document: str) -> dict[int, int]:
    table = read_table(split_dir, document, ["image_id", "turn"])
    return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _values_of(table: pa.Table, image_ids: pa.Array) -> list[list[Any]]:
    """The columns of a table, of these images alone, whose ids its first column has."""
    chosen = table.filter(pc.is_in(table.column(0), image_ids))
    return [column.to_pylist() for column in chosen.columns]


def _objects(
    split_dir: Path, changes: Changes, image_ids: pa.Array, numbers: Mapping[str | None, int]
) -> dict[int, list[dict[str, Any]]]:
    listed = categories(split_dir, changes.document)
    number_of = {one["id"]: numbers[one["name"]] for one in listed}
    found: dict[int, list[dict[str, Any]]] = {}
    with open_table(split_dir, changes.document) as file:
        for batch in file.iter_batches(_ROWS, columns=["image_id", "objects"]):
            columns = _values_of(pa.Table.from_batches([batch]), image_ids)
            for image_id, rows in zip(*columns, strict=True):
                found[image_id] = [
                    one | {"category_id": number_of.get(one.get("category_id"), numbers.get(None))}
                    for one in map(read_object, rows)
                ]
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
