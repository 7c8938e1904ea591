"""Look at a converted dataset: figures, plots and pictures."""

from dataclasses import asdict
from pathlib import Path

from cocopipe.drawing.sheets import pictures_of
from cocopipe.files import write_json
from cocopipe.quality import plots
from cocopipe.quality.statistics import measure, statistics


def inspect(train: Path, val: Path, out: Path, *, pictures: int) -> dict[str, float]:
    """Write figures, plots and pictures of both splits into ``out``.

    ``statistics.json`` has a :class:`~cocopipe.quality.statistics.Statistics`
    under ``train`` and ``val``; beside it are ``class_balance.png``,
    ``box_sizes.png``, ``pictures_train.png`` and ``pictures_val.png``.

    Args:
        train: a converted split.
        val: the other one.
        out: an existing folder.
        pictures: how many to show of each split.

    Returns:
        The main figures as ``<split>.<name>``.

    Raises:
        UserError: a split isn't converted, has no ``instances`` table, or a picture
            that can't be decoded.
    """
    splits = {"train": train, "val": val}
    objects = {split: measure(path) for split, path in splits.items()}
    found = {split: statistics(path, objects[split]) for split, path in splits.items()}
    write_json(out / "statistics.json", {split: asdict(one) for split, one in found.items()})
    plots.class_balance(out / "class_balance.png", found)
    boxes = {split: one.columns.boxes_xywh[one.usable] for split, one in objects.items()}
    plots.box_sizes(out / "box_sizes.png", found, boxes)
    for split, path in splits.items():
        pictures_of(path, pictures).save(out / f"pictures_{split}.png")
    return {
        f"{split}.{name}": float(value)
        for split, one in found.items()
        for name, value in one.metrics().items()
    }
