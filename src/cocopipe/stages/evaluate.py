"""Stage evaluate: COCO metrics, curves and pictures of the model on val, or on test."""

from dataclasses import asdict
from pathlib import Path

import mlflow

from cocopipe.detect.evaluation.predict import predict
from cocopipe.detect.evaluation.score import Scores, score
from cocopipe.detect.network.detector import load
from cocopipe.detect.network.device import choose
from cocopipe.documents import PRIMARY
from cocopipe.drawing.sheets import compare
from cocopipe.errors import UserError, some
from cocopipe.files import new_directory, write_json, write_table
from cocopipe.params import Params
from cocopipe.split.objects import ground_truth
from cocopipe.split.tables import documents, image_ids
from cocopipe.tracking.machine import log_machine
from lineage import StageRun

_FRACTIONS = {"val": "validation_fraction", "test": "test_fraction"}

BATCH_SIZE = 1
"""Images at a time. Beside others, an image is padded to the largest of them and computed in
another order, which moves the last digits of what is found: one by one, what is found on it is its
own, and the same that the model answers when it is served."""


def evaluate(run: StageRun, params: Params) -> Scores:
    """Write ``reports/evaluate``; tie the scores, which it returns, to model and dataset."""
    split, model = run.dep(params.evaluate.split), run.dep("detector")
    require_truth(params.evaluate.split, split.location, split.path)
    device = choose(params.machine.device)
    log_machine(workers=params.machine.workers, device=str(device))
    predictions = predict(
        load(model.location, device),
        split.location,
        batch_size=BATCH_SIZE,
        score_threshold=params.evaluate.score_threshold,
        device=device,
        workers=params.machine.workers,
    )
    scores = score(ground_truth(split.location), predictions)
    out = run.out("evaluate")
    with new_directory(out) as report:
        _write_scores(report, scores)
        write_json(report / "predictions.json", predictions)
        write_json(
            report / "evaluation.json",
            {
                "dataset": {"path": split.path, "digest": split.hash},
                "model": {"path": model.path, "digest": model.hash},
            },
        )
        compare(
            split.location, predictions, report / "pictures.png", pictures=params.evaluate.pictures
        )
    known = {name: value for name, value in scores.metrics.items() if value is not None}
    mlflow.log_metrics(
        known, model_id=run.model_ids.get(model.hash), dataset=run.dataset(params.evaluate.split)
    )
    mlflow.log_artifacts(str(out))
    return scores


def require_truth(role: str, split_dir: Path, where: str) -> None:
    """Refuse a split that has nothing to evaluate by.

    Args:
        role: of the split.
        split_dir: the converted split.
        where: what it is called in messages.
    """
    names = documents(split_dir)
    if PRIMARY not in names:
        raise UserError(
            f"{where} has no boxes to evaluate by, only {some(names)}: set evaluate.split to one"
            " that has, or add them at the source"
        )
    if not len(image_ids(split_dir, PRIMARY)):
        raise UserError(
            f"{where} has no images to evaluate on: give the source a split for {role}, or have"
            f" one divided off by convert.{_FRACTIONS[role]}"
        )


def _write_scores(report: Path, scores: Scores) -> None:
    write_json(report / "metrics.json", scores.metrics)
    write_table(report / "per_category.csv", [asdict(row) for row in scores.per_category])
    at_50, mean = scores.curves["AP50"], scores.curves["AP"]
    curves = [
        {"recall": one["recall"], "iou_50": one["precision"], "iou_50_to_95": other["precision"]}
        for one, other in zip(at_50, mean, strict=True)
    ]
    write_table(report / "precision_recall.csv", curves)
