"""What becomes of a dataset that comes back from an annotation tool, told by its tables alone."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from benchmarks.data import changes
from benchmarks.data.changes import Entries
from benchmarks.data.measure import Figures, at_least, exactly
from cocopipe.diff.changes import compare
from cocopipe.documents import PRIMARY
from cocopipe.split.tables import read_table

BACK: Mapping[str, Callable[[Entries], Entries]] = {
    "back from CVAT": changes.by_cvat,
    "back from Label Studio": changes.by_label_studio,
    "back from Roboflow": changes.by_roboflow,
}
"""Round trips, in which one box is moved."""

RENAMING = ("back from Label Studio", "back from Roboflow")

SIDES = ("train", "val")


def told(before: Path, after: Path) -> Figures:
    """Who changed sides, and what `cocopipe diff` counts, of both sides together."""
    found = [compare(before / side, after / side) for side in SIDES]
    images = [each.images for each in found]
    boxes = [each.boxes for each in found]
    was, now = ({side: _pictures(split / side) for side in SIDES} for split in (before, after))
    return {
        "changed_sides": sum(len(was[side] - now[side]) for side in SIDES),
        "renamed": sum(len(each.renamed) for each in images),
        "renumbered": sum(len(each.renumbered) for each in images),
        "moved": sum(each.moved for each in boxes),
        "anything_else": sum(
            len(each.added) + len(each.removed) + len(each.replaced) + len(each.relisted)
            for each in images
        )
        + sum(each.added + each.removed + each.relabelled + each.other for each in boxes)
        + sum(len(each.document_fields) for each in found)
        + sum(len(getattr(each.listed, one.name)) for each in found for one in fields(each.listed)),
    }


def _pictures(split_dir: Path) -> set[str]:
    return set(read_table(split_dir, PRIMARY, ["sha256"])["sha256"].to_pylist())


def print_told(change: str, counts: Figures, images: int) -> None:
    """One line a count, beside what it should be."""
    exactly(f"images changed sides, {change}", counts["changed_sides"], 0)
    exactly(f"images renamed, {change}", counts["renamed"], images if change in RENAMING else 0)
    at_least(f"of all images renumbered, {change}", counts["renumbered"] / images, 0.9)
    exactly(f"boxes moved, {change}", counts["moved"], 1)
    exactly(f"other changes, {change}", counts["anything_else"], 0)
