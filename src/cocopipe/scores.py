"""What an evaluation's figures are called: COCO's own, and the AP of each category."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cocopipe.errors import UserError, some

METRICS_FILE = "metrics.json"
CATEGORIES_FILE = "per_category.csv"
SUBJECT_FILE = "evaluation.json"
PREDICTIONS_FILE = "predictions.json"
"""Files of an evaluation."""

OF_A_CATEGORY = "AP_"
"""Before the name of a category: its AP."""


def read_scores(evaluation: Path) -> dict[str, float | None]:
    """Read every figure of the folder that an evaluation wrote; None for what is not defined."""
    metrics: dict[str, float | None] = read_json(evaluation / METRICS_FILE)
    with (evaluation / CATEGORIES_FILE).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return all_scores(
        metrics, [(row["name"], float(row["ap"]) if row["ap"] else None) for row in rows]
    )


def all_scores(
    metrics: Mapping[str, float | None], categories: Iterable[tuple[str, float | None]]
) -> dict[str, float | None]:
    """Put the AP of categories, (name, AP), beside COCO's metrics.

    COCO's own names come first: of a category named small there is no figure, nor of the second of
    two with one name.
    """
    found = dict(metrics)
    for name, value in categories:
        found.setdefault(f"{OF_A_CATEGORY}{name}", value)
    return found


def check_names(names: Iterable[str], scores: Mapping[str, float | None]) -> None:
    """Refuse names that no figure of an evaluation has.

    Raises:
        UserError: With the names that there are.
    """
    for name in names:
        if name not in scores:
            raise UserError(
                f"params.yaml: register names the metric {name}, which the evaluation does not"
                f" have; it has {some([*scores], limit=24)}."
            )


def named_scores(
    scores: Mapping[str, float | None], metrics: Iterable[str], names: Iterable[str]
) -> dict[str, float]:
    """Those of the metrics, and of the names besides, that are defined."""
    chosen = dict.fromkeys([*metrics, *names])
    return {name: value for name in chosen if (value := scores.get(name)) is not None}


def read_json(path: Path) -> Any:
    """Read a file of an evaluation."""
    return json.loads(path.read_text(encoding="utf-8"))
