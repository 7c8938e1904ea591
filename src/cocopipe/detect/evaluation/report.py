"""What an evaluation leaves to read: its scores as tables, and what was found."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cocopipe.detect.evaluation.score import Scores
from cocopipe.detect.network.parts import Part
from cocopipe.files import new_file, write_json, write_table

_SIMILARITY = {Part.BOX: "iou_{}", Part.MASK: "iou_{}_segm", Part.KEYPOINTS: "oks_{}"}
"""How columns of a curve are called: by how two objects are compared."""


def metrics_of(scores: Mapping[Part, Scores]) -> dict[str, float | None]:
    """Return the metrics of all parts by name, boxes first."""
    return {name: value for each in scores.values() for name, value in each.metrics.items()}


def write_scores(scores: Mapping[Part, Scores], report: Path) -> None:
    """Write ``metrics.json``, ``per_category.csv`` and ``precision_recall.csv`` into a folder.

    A detector that tells more than boxes has more metrics and columns, with the names' endings.
    """
    write_json(report / "metrics.json", metrics_of(scores))
    rows = [asdict(row) for row in scores[Part.BOX].per_category]
    curves = [{"recall": row["recall"]} for row in scores[Part.BOX].curves["AP"]]
    for part, each in scores.items():
        for row, of_category in zip(rows, each.per_category, strict=True):
            row[f"ap{part.suffix}"] = of_category.ap
            row[f"ap50{part.suffix}"] = of_category.ap50
        for curve, limits in {"AP50": "50", "AP": "50_to_95"}.items():
            column = _SIMILARITY[part].format(limits)
            for point, of_curve in zip(curves, each.curves[curve], strict=True):
                point[column] = of_curve["precision"]
    write_table(report / "per_category.csv", rows)
    write_table(report / "precision_recall.csv", curves)


def write_results(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write COCO results, a line each: with a number a line, keypoints would be twice the bytes."""
    with new_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write("[\n")
        for place, result in enumerate(results):
            file.write(",\n" if place else "")
            file.write(json.dumps(result, separators=(",", ":"), allow_nan=False))
        file.write("\n]\n")
