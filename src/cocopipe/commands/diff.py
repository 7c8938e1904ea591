"""``cocopipe diff``: what changed between two versions of the converted data."""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group

from cocopipe.commands.versions import Split, Version, documents_of, find, table_of
from cocopipe.diff.answer import Changes, Side
from cocopipe.diff.changes import compare as compare_splits
from cocopipe.diff.sheet import ShownImage, columns_by_key, read_from, sheet_of_changes, to_show
from cocopipe.diff.text import changes_text
from cocopipe.documents import PRIMARY, order
from cocopipe.errors import UserError, some
from cocopipe.split.tables import sources
from lineage.answer import json_text
from lineage.edge import Said
from lineage.storage.materialise import appearing

_LONGEST_NAME = 60
"""Characters of a file name, which may take four bytes each."""


def run(options: argparse.Namespace) -> Said:
    """Tell the changes, and draw them where pictures are asked for."""
    before, after = find(options.a), find(options.b)
    found: dict[str, Changes] = {}
    left: list[str] = []
    with ExitStack() as stack:
        out = stack.enter_context(appearing(Path(options.pictures))) if options.pictures else None
        if out is not None:
            out.mkdir()
        both = pairs(before, after)
        for name, each in both.items():
            try:
                document, pair = comparable(each, options.document)
            except NothingInCommonError as error:
                left.append(f"{name} is not compared: {error}")
                continue
            changes = compare(pair, document=document, iou=options.iou)
            # A split for testing may have nothing.
            if len(both) == 1 or changes.images.after or not changes.is_empty:
                found[name] = changes
            if out is not None:
                sheet = out / f"{name.strip('/').replace('/', '_')[-_LONGEST_NAME:]}.png"
                draw_changes(pair, changes, sheet, pictures=options.images)
        if left and not found:
            raise UserError("; ".join(left))
    if options.json:
        return Said(json_text({name: each.as_dict() for name, each in found.items()}), left)
    return Said(Group(*(changes_text(name, changes) for name, changes in found.items())), left)


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


class NothingInCommonError(UserError):
    """Two versions of a split that cannot be compared, though others may be."""


def comparable(pair: Pair, document: str | None) -> tuple[str, Pair]:
    """Which document of two versions of a split can be compared, and what has it.

    A version whose split is empty, as one for testing may be, counts as one without it.

    Args:
        pair: The two, or the one that there is.
        document: None: the first that both have.

    Raises:
        NothingInCommonError: They have none in common, or not this one.
    """
    names = [documents_of(split) for split in pair.present]
    if not names:
        return document or PRIMARY, pair
    common = order(set.intersection(*map(set, names)))
    if document in common or (document is None and common):
        return document or common[0], pair
    filled = Pair(_unless_empty(pair.before), _unless_empty(pair.after))
    if filled != pair:
        return comparable(filled, document)
    if document is None:
        raise NothingInCommonError(
            "the two versions have no document in common:"
            f" {' and '.join(some(each) or 'none' for each in names)}"
        )
    lacking = next(each for each in names if document not in each)
    raise NothingInCommonError(
        f"there is no document {document} in both versions, only {some(lacking)}"
    )


def _unless_empty(split: Split | None) -> Split | None:
    """A split, unless it has nothing of any source."""
    if split is None:
        return None
    names = documents_of(split)
    with split.bring(list(map(table_of, names))) as folder:
        return split if any(sources(folder, name) for name in names) else None


def compare(pair: Pair, *, document: str, iou: float) -> Changes:
    """Compare two versions of a split by their tables.

    Args:
        pair: The two, or the one that there is; each has the document.
        document: Its name.
        iou: See `cocopipe.diff.changes.compare`.

    Raises:
        LineageError: Neither cache nor remote have what is needed.
    """
    with ExitStack() as stack:
        folders = [
            None if split is None else stack.enter_context(split.bring([table_of(document)]))
            for split in (pair.before, pair.after)
        ]
        return compare_splits(*folders, document=document, iou=iou)


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
    """A folder of a split with its tables and the images that are shown."""
    if split is None:
        return None
    images = [getattr(each, side) for each in shown]
    with split.bring([table_of(document)]) as folder:
        shards = columns_by_key(folder, document, "shard")
    needed = dict.fromkeys(shards[image.key] for image in images if image is not None)
    # All tables: together they say what is in a shard.
    files = [*map(table_of, documents_of(split)), *(f"images/{shard}.parquet" for shard in needed)]
    return stack.enter_context(split.bring(files))
