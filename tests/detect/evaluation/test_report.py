import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from cocopipe.detect.evaluation.report import metrics_of, write_results, write_scores
from cocopipe.detect.evaluation.score import score
from cocopipe.detect.network.parts import Part
from tests.detect.evaluation.test_score import drawn, truth
from tests.detect.splits import posed


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [*csv.DictReader(file)]


@pytest.mark.parametrize(
    ("part", "columns"),
    [
        (Part.MASK, ["iou_50_segm", "iou_50_to_95_segm"]),
        (Part.KEYPOINTS, ["oks_50", "oks_50_to_95"]),
    ],
)
def test_each_part_has_its_metrics_and_columns(
    tmp_path: Path, part: Part, columns: list[str]
) -> None:
    document = posed(truth())
    results = drawn(document)
    scores = {each: score(document, results, each) for each in (Part.BOX, part)}
    write_scores(scores, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics == metrics_of(scores)
    assert next(iter(metrics)) == "AP"
    assert len(metrics) == 12 + len(scores[part].metrics)
    rows = table(tmp_path / "per_category.csv")
    own = [f"ap{part.suffix}", f"ap50{part.suffix}"]
    assert [*rows[0]] == ["id", "name", "annotations", "ap", "ap50", *own]
    for row, of_boxes, of_part in zip(
        rows, scores[Part.BOX].per_category, scores[part].per_category, strict=True
    ):
        assert float(row["ap"]) == of_boxes.ap
        assert float(row[own[0]]) == of_part.ap
        assert float(row[own[1]]) == of_part.ap50
    curve = table(tmp_path / "precision_recall.csv")
    assert [*curve[0]] == ["recall", "iou_50", "iou_50_to_95", *columns]
    assert [float(row[columns[1]]) for row in curve] == [
        row["precision"] for row in scores[part].curves["AP"]
    ]


@pytest.mark.parametrize("results", [[], drawn(posed(truth()))])
def test_results_are_read_by_pycocotools(tmp_path: Path, results: list[dict[str, Any]]) -> None:
    path = tmp_path / "predictions.json"
    write_results(results, path)
    assert json.loads(path.read_text()) == results
    assert len(path.read_text().splitlines()) == max(1, len(results)) + 2
    if results:
        expected = COCO()
        expected.dataset = truth()
        expected.createIndex()
        assert len(expected.loadRes(str(path)).anns) == len(results)
