"""Stage evaluate: COCO metrics, curves and pictures of the model on val, or on test."""

from collections.abc import Mapping
from pathlib import Path

import mlflow

from cocopipe.detect.evaluation.report import metrics_of, write_results, write_scores
from cocopipe.detect.evaluation.score import Scores, score
from cocopipe.detect.network.detector import load
from cocopipe.detect.network.device import choose
from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.expected import expected, say_sigmas
from cocopipe.detect.prediction.predict import BATCH_SIZE, predict
from cocopipe.documents import PRIMARY
from cocopipe.drawing.sheets import compare
from cocopipe.errors import UserError, some
from cocopipe.files import new_directory, write_json
from cocopipe.params import Params
from cocopipe.split.tables import document_of, documents, image_ids
from cocopipe.tracking.machine import log_machine
from lineage import StageRun

_FRACTIONS = {"val": "validation_fraction", "test": "test_fraction"}


def evaluate(run: StageRun, params: Params) -> Mapping[Part, Scores]:
    """Write ``reports/evaluate``; tie the scores, which it returns, to model and dataset."""
    split, model = run.dep(params.evaluate.split), run.dep("detector")
    device = choose(params.machine.device)
    detector = load(model.location, device)
    config = detector.config
    document = document_of(split.location, keypoints=config.keypoints is not None)
    require_truth(params.evaluate.split, split.location, split.path, document)
    truth = expected(split.location, config)
    say_sigmas(config)
    log_machine(workers=params.machine.workers, device=str(device))
    predictions = predict(
        detector,
        split.location,
        batch_size=BATCH_SIZE,
        score_threshold=params.evaluate.score_threshold,
        device=device,
        workers=params.machine.workers,
    )
    scores = {part: score(truth, predictions, part) for part in config.parts}
    out = run.out("evaluate")
    with new_directory(out) as report:
        write_scores(scores, report)
        write_results(predictions, report / "predictions.json")
        write_json(
            report / "evaluation.json",
            {
                "dataset": {"path": split.path, "digest": split.hash},
                "model": {"path": model.path, "digest": model.hash},
            },
        )
        compare(
            split.location,
            predictions,
            report / "pictures.png",
            pictures=params.evaluate.pictures,
            document=document,
        )
    known = {name: value for name, value in metrics_of(scores).items() if value is not None}
    mlflow.log_metrics(
        known, model_id=run.model_ids.get(model.hash), dataset=run.dataset(params.evaluate.split)
    )
    mlflow.log_artifacts(str(out))
    return scores


def require_truth(role: str, split_dir: Path, where: str, document: str = PRIMARY) -> None:
    """Refuse a split that has nothing to evaluate by.

    Args:
        role: of the split.
        split_dir: the converted split.
        where: what it is called in messages.
        document: the one with the ground truth.
    """
    names = documents(split_dir)
    if document not in names:
        raise UserError(
            f"{where} has no boxes to evaluate by, only {some(names)}: set evaluate.split to one"
            " that has, or add them at the source"
        )
    if not len(image_ids(split_dir, document)):
        raise UserError(
            f"{where} has no images to evaluate on: give the source a split for {role}, or have"
            f" one divided off by convert.{_FRACTIONS[role]}"
        )
