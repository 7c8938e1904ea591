"""What changed between two versions of a split, as text for people."""

from collections.abc import Iterable, Mapping

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cocopipe.diff.answer import BoxChanges, CategoryChanges, Changes, ImageChanges
from cocopipe.errors import some

CATEGORIES_SHOWN = 10
RELABELLED_SHOWN = 5


def changes_text(name: str, changes: Changes) -> RenderableType:
    """A few lines and a table of the categories whose objects changed.

    Args:
        name: what the split is called, such as ``data/train``.
        changes: between two versions of it.
    """
    images, boxes = changes.images, changes.boxes
    title = Text.assemble(
        (name, "bold green"),
        f"  {_both(images.before, images.after)} images, {_both(boxes.before, boxes.after)} boxes",
    )
    lines = {
        "images": _images(images),
        "boxes": _boxes(boxes),
        "categories": _listed(changes),
        "document": f"{some(list(changes.document_fields))} differ"
        if changes.document_fields
        else "",
        "relabelled": _relabelled(changes),
    }
    if changes.is_empty:
        lines = {"": "no difference"}
    if boxes.renumbered:
        lines["ids"] = f"{boxes.renumbered:,} annotations have another id, which is no change"
    parts: list[RenderableType] = [title, _lines(lines)]
    categories = _most_changed(changes.categories)
    if categories:
        parts += [Text(), _table(categories[:CATEGORIES_SHOWN])]
        left = len(categories) - CATEGORIES_SHOWN
        if left > 0:
            parts.append(Text(f"  and {left} more, which --json lists", style="dim"))
    return Group(*parts)


def _both(before: int, after: int) -> str:
    return f"{before:,}" if before == after else f"{before:,} → {after:,}"


def _lines(lines: Mapping[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for label, line in lines.items():
        if line:
            grid.add_row(Text(f"  {label}" if label else " ", style="dim"), Text(line))
    return grid


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {told}" for told, count in counts.items() if count)


def _images(images: ImageChanges) -> str:
    return _counts(
        {
            "added": len(images.added),
            "removed": len(images.removed),
            "replaced": len(images.replaced),
            "renumbered": len(images.renumbered),
            "renamed": len(images.renamed),
            "with other sizes or fields": len(images.relisted),
        }
    )


def _boxes(boxes: BoxChanges) -> str:
    moved = "moved"
    if boxes.iou_mean is not None and boxes.iou_least is not None:
        moved += f" (IoU {boxes.iou_mean:.2f} mean, {boxes.iou_least:.2f} least)"
    return _counts(
        {
            "added": boxes.added,
            "removed": boxes.removed,
            moved: boxes.moved,
            "relabelled": boxes.relabelled,
            "otherwise changed": boxes.other,
            "in added images": boxes.of_added_images,
            "in removed images": boxes.of_removed_images,
        }
    )


def _listed(changes: Changes) -> str:
    listed = changes.listed
    told = {
        "added": listed.added,
        "removed": listed.removed,
        "renumbered": [one.name for one in listed.renumbered],
        "edited": listed.edited,
    }
    return "; ".join(
        f"{len(names)} {what}: {some(list(names))}" for what, names in told.items() if names
    )


def _relabelled(changes: Changes) -> str:
    shown = [
        f"{_named(one.before)} → {_named(one.after)} {one.count:,}" for one in changes.relabelled
    ]
    return some(shown, RELABELLED_SHOWN)


def _named(category: str | None) -> str:
    return "none" if category is None else category


def _most_changed(categories: Iterable[CategoryChanges]) -> list[CategoryChanges]:
    changed = [one for one in categories if one.changes]
    return sorted(changed, key=lambda one: -one.changes)


def _table(categories: Iterable[CategoryChanges]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("  category", overflow="fold")
    for column in ("before", "after", "added", "removed", "moved", "relabelled", "other"):
        table.add_column(column, justify="right")
    for one in categories:
        numbers = (one.before, one.after, one.added, one.removed, one.moved)
        relabelled = f"+{one.relabelled_to:,} -{one.relabelled_from:,}"
        is_relabelled = one.relabelled_to or one.relabelled_from
        table.add_row(
            Text(f"  {_named(one.name)}"),
            *(f"{number:,}" for number in numbers),
            relabelled if is_relabelled else "0",
            f"{one.other:,}",
        )
    return table
