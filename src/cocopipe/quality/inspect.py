"""Look at a converted dataset: figures, plots and pictures."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from cocopipe.documents import PRIMARY
from cocopipe.drawing.sheets import pictures_of
from cocopipe.files import write_json
from cocopipe.quality import plots
from cocopipe.quality.statistics import measure, statistics
from cocopipe.split.tables import documents, summary

TEST = "test"
"""The split that may have nothing to look at."""


def inspect(splits: Mapping[str, Path], out: Path, *, pictures: int) -> dict[str, float]:
    """Write figures, plots and pictures of all splits into ``out``.

    ``statistics.json`` has a :class:`~cocopipe.quality.statistics.Statistics`
    under each split's name; beside it are ``class_balance.png``,
    ``box_sizes.png`` and a ``pictures_<split>.png`` of each. A split for testing may be empty,
    or without ``instances``: then it is left out, but for how many images it has.

    Args:
        splits: converted splits, by their names.
        out: an existing folder.
        pictures: how many to show of each split.

    Returns:
        The main figures as ``<split>.<name>``.

    Raises:
        UserError: a split isn't converted, has no ``instances`` table, or a picture
            that can't be decoded.
    """
    bare = {split: path for split, path in splits.items() if _is_bare(split, path)}
    splits = {split: path for split, path in splits.items() if split not in bare}
    objects = {split: measure(path) for split, path in splits.items()}
    found = {split: statistics(path, objects[split]) for split, path in splits.items()}
    write_json(out / "statistics.json", {split: asdict(one) for split, one in found.items()})
    plots.class_balance(out / "class_balance.png", found)
    boxes = {split: one.columns.boxes_xywh[one.usable] for split, one in objects.items()}
    plots.box_sizes(out / "box_sizes.png", found, boxes)
    for split, path in splits.items():
        pictures_of(path, pictures).save(out / f"pictures_{split}.png")
    metrics = {
        f"{split}.{name}": float(value)
        for split, one in found.items()
        for name, value in one.metrics().items()
    }
    counts = {split: summary(path, documents(path)[0])["images"] for split, path in bare.items()}
    return metrics | {f"{split}.images": float(count) for split, count in counts.items() if count}


def _is_bare(split: str, path: Path) -> bool:
    """Whether it is a split for testing without objects to look at."""
    if split != TEST:
        return False
    return PRIMARY not in documents(path) or not summary(path, PRIMARY)["images"]
