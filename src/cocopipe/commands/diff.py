"""``cocopipe diff``: what changed between two versions of the converted data."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Group

from cocopipe.commands.versions import Split, Version, documents_of, find, table_of
from cocopipe.diff.answer import Changes, Side
from cocopipe.diff.changes import compare as compare_splits
from cocopipe.diff.sheet import ShownImage, read_from, sheet_of_changes, to_show
from cocopipe.diff.text import changes_text
from cocopipe.documents import order
from cocopipe.errors import UserError, some
from cocopipe.split.tables import read_table
from lineage.answer import json_text
from lineage.edge import Said
from lineage.storage.materialise import appearing

_LONGEST_NAME = 60
"""Characters of a file name, which may take four bytes each."""


def run(options: argparse.Namespace) -> Said:
    """Tell the changes, and draw them where pictures are asked for."""
    before, after = find(options.a), find(options.b)
    found: dict[str, Changes] = {}
    with ExitStack() as stack:
        out = stack.enter_context(appearing(Path(options.pictures))) if options.pictures else None
        if out is not None:
            out.mkdir()
        both = pairs(before, after)
        for name, pair in both.items():
            changes = compare(pair, document=options.document, iou=options.iou)
            # A split for testing may have nothing.
            if len(both) == 1 or changes.images.after or not changes.is_empty:
                found[name] = changes
        if out is not None:
            for name, changes in found.items():
                sheet = out / f"{name.strip('/').replace('/', '_')[-_LONGEST_NAME:]}.png"
                draw_changes(both[name], changes, sheet, pictures=options.images)
    if options.json:
        return Said(json_text({name: each.as_dict() for name, each in found.items()}))
    return Said(Group(*(changes_text(name, changes) for name, changes in found.items())))


@dataclass(frozen=True)
class Pair:
    """A split as two versions have it; None where one has no such split."""

    before: Split | None
    after: Split | None

    @property
    def present(self) -> list[Split]:
        """The one or two that there are."""
        return [split for split in (self.before, self.after) if split is not None]


def pairs(before: Version, after: Version) -> dict[str, Pair]:
    """Which splits of two versions are to be compared, by name.

    Those of one name, or else of one last part of it (``data/val`` and ``val``). Where one
    version is a single split, only that is compared; where both are, whatever their names.

    Raises:
        UserError: One is a single split, and the other has none like it.
    """
    one, other = before.splits, after.splits
    if len(one) == len(other) == 1:
        names = dict.fromkeys([*one, *other])
        return {" → ".join(names): Pair(next(iter(one.values())), next(iter(other.values())))}
    twins = {name: _twin(name, other) for name in one}
    found = {name: Pair(one[name], other[twin] if twin else None) for name, twin in twins.items()}
    found |= {name: Pair(None, other[name]) for name in other if name not in twins.values()}
    if 1 in (len(one), len(other)):
        found = {name: pair for name, pair in found.items() if len(pair.present) == 2}
    if not found:
        single, many = (before, after) if len(one) == 1 else (after, before)
        raise UserError(
            f"{single.ref} is {next(iter(single.splits))}, and {many.ref} has only"
            f" {some(list(many.splits))}: name one of those, as in {next(iter(many.splits))}@REV"
        )
    return found


def _twin(name: str, splits: Mapping[str, Split]) -> str | None:
    if name in splits:
        return name
    alike = [each for each in splits if Path(each).name == Path(name).name]
    return alike[0] if len(alike) == 1 else None


def compare(pair: Pair, *, document: str | None, iou: float) -> Changes:
    """Compare two versions of a split by their tables.

    Args:
        pair: The two, or the one that there is.
        document: None: the first that both have.
        iou: See `cocopipe.diff.changes.compare`.

    Raises:
        UserError: There is no such document.
        LineageError: Neither cache nor remote have what is needed.
    """
    name = document or _common_document(pair.present)
    with ExitStack() as stack:
        folders = [
            None if split is None else stack.enter_context(_with_table(split, name))
            for split in (pair.before, pair.after)
        ]
        return compare_splits(*folders, document=name, iou=iou)


def _common_document(splits: Sequence[Split]) -> str:
    names = [documents_of(split) for split in splits]
    both = order(set.intersection(*map(set, names)))
    if not both:
        raise UserError(
            "the two versions have no document in common:"
            f" {' and '.join(some(each) or 'none' for each in names)}"
        )
    return both[0]


def _with_table(split: Split, document: str) -> AbstractContextManager[Path]:
    if document not in documents_of(split):
        raise UserError(
            f"there is no document {document} in both versions, only {some(documents_of(split))}"
        )
    return split.bring([table_of(document)])


def draw_changes(pair: Pair, changes: Changes, path: Path, *, pictures: int) -> None:
    """Write a sheet of the most changed images; nothing where nothing changed."""
    shown = to_show(changes, pictures)
    with ExitStack() as stack:
        folders = {
            side: _with_images(stack, getattr(pair, side), changes.document, shown, side)
            for side in Side
        }
        before, after = folders[Side.BEFORE], folders[Side.AFTER]
        sheet_of_changes(
            changes,
            before,
            after,
            path,
            read=read_from(before, after, changes.document),
            pictures=pictures,
        )


def _with_images(
    stack: ExitStack, split: Split | None, document: str, shown: list[ShownImage], side: str
) -> Path | None:
    """A folder of a split with its table and the images that are shown."""
    if split is None:
        return None
    images = [getattr(each, side) for each in shown]
    ids = pa.array([image.image_id for image in images if image is not None], pa.int64())
    with split.bring([table_of(document)]) as folder:
        places = read_table(folder, document, ["image_id", "shard"])
    needed = places.filter(pc.is_in(places["image_id"], ids))["shard"].unique().to_pylist()
    shards = [f"images/{shard}.parquet" for shard in needed]
    return stack.enter_context(split.bring([table_of(document), *shards]))
