"""``cocopipe diff``: what changed between two versions of the converted data."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group

from cocopipe.commands.versions import Split, Version, documents_of, find
from cocopipe.diff.answer import Changes, Side
from cocopipe.diff.changes import compare as compare_splits
from cocopipe.diff.sheet import ShownImage, read_from, sheet_of_changes, to_show
from cocopipe.diff.text import changes_text
from cocopipe.documents import order
from cocopipe.errors import UserError, some
from cocopipe.split.shards import shards_with
from lineage.answer import json_text
from lineage.edge import Said
from lineage.storage.materialise import appearing

_LONGEST_NAME = 60
"""Characters of a file name, which may take four bytes each."""


def run(options: argparse.Namespace) -> Said:
    """Tell the changes, and draw them where pictures are asked for."""
    before, after = find(options.a), find(options.b)
    found = {}
    with ExitStack() as stack:
        out = stack.enter_context(appearing(Path(options.pictures))) if options.pictures else None
        if out is not None:
            out.mkdir()
        for name, pair in pairs(before, after).items():
            found[name] = compare(pair, document=options.document, iou=options.iou)
            if out is not None:
                sheet = out / f"{name.strip('/').replace('/', '_')[-_LONGEST_NAME:]}.png"
                draw_changes(pair, found[name], sheet, pictures=options.images)
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
    """Compare two versions of a split by their tables, and the shards that are not the same.

    Args:
        pair: The two, or the one that there is.
        document: None: the first that both have.
        iou: See `cocopipe.diff.changes.compare`.

    Raises:
        UserError: There is no such document.
        LineageError: Neither cache nor remote have what is needed.
    """
    name = document or _common_document(pair.present)
    same = _same_shards(pair)
    with ExitStack() as stack:
        folders = [
            None if split is None else stack.enter_context(_needed(split, name, same))
            for split in (pair.before, pair.after)
        ]
        shards = {Path(file).name for file in same}
        return compare_splits(*folders, document=name, same_shards=shards, iou=iou)


def _common_document(splits: Sequence[Split]) -> str:
    names = [documents_of(split) for split in splits]
    both = order(set.intersection(*map(set, names)))
    if not both:
        raise UserError(
            "the two versions have no document in common:"
            f" {' and '.join(some(each) or 'none' for each in names)}"
        )
    return both[0]


def _same_shards(pair: Pair) -> set[str]:
    """The shards that two versions have alike."""
    before, after = pair.before, pair.after
    if before is None or after is None:
        return set()
    both = {*_shards(before)} & {*_shards(after)}
    return {file for file in both if before.digest(file) == after.digest(file)}


def _needed(split: Split, document: str, same: set[str]) -> AbstractContextManager[Path]:
    if document not in documents_of(split):
        raise UserError(
            f"there is no document {document} in both versions, only {some(documents_of(split))}"
        )
    return split.bring([_table(document), *(file for file in _shards(split) if file not in same)])


def _table(document: str) -> str:
    return f"annotations/{document}.parquet"


def _shards(split: Split) -> list[str]:
    return [file for file in split.files if file.startswith("images/")]


def draw_changes(pair: Pair, changes: Changes, path: Path, *, pictures: int) -> None:
    """Write a sheet of the most changed images; nothing where nothing changed."""
    shown = to_show(changes, pictures)
    table = _table(changes.document)
    with ExitStack() as stack:
        folders = {
            side: _with_images(stack, getattr(pair, side), table, shown, side) for side in Side
        }
        before, after = folders[Side.BEFORE], folders[Side.AFTER]
        sheet_of_changes(
            changes,
            before,
            after,
            path,
            read=read_from(before, after),
            pictures=pictures,
        )


def _with_images(
    stack: ExitStack, split: Split | None, table: str, shown: list[ShownImage], side: str
) -> Path | None:
    """A folder of a split with its table and the images that are shown."""
    if split is None:
        return None
    images = [getattr(each, side) for each in shown]
    ids = [image.image_id for image in images if image is not None]
    return stack.enter_context(split.bring([table, *shards_with(_shards(split), ids)]))
