"""Stage register: the verdict on the model, and its version in MLflow."""

from pathlib import Path

import mlflow

import lineage
from cocopipe.errors import UserError
from cocopipe.files import write_json
from cocopipe.params import Params, Register
from cocopipe.scores import (
    METRICS_FILE,
    SUBJECT_FILE,
    check_names,
    named_scores,
    read_json,
    read_scores,
)
from cocopipe.tracking.tags import MODEL
from lineage import Registration, StageRun
from lineage.repository.items import Item
from lineage.tracking.tags import VERDICT


def register(run: StageRun, params: Params) -> tuple[Registration, str]:
    """Write ``reports/register.json`` from files alone; make sure that the version exists.

    Returns the verdict, and the version as ``models:/name/version``, or why there is none yet.
    """
    registration = judge(run.dep("detector"), run.dep("evaluate").location, params.register)
    write_json(run.out("register"), registration.as_dict())
    mlflow.set_tag(VERDICT, registration.verdict)
    try:
        version = lineage.register(run.project, registration)
    except lineage.AwayError as away:
        return registration, str(away)
    model = f"models:/{version.name}/{version.version}"
    mlflow.set_tag(MODEL, model)
    return registration, model


def judge(model: Item, evaluation: Path, params: Register) -> Registration:
    """Hold the metrics against the thresholds.

    Raises:
        UserError: If the evaluation is of another model, or a threshold names no metric.
    """
    facts = read_json(evaluation / SUBJECT_FILE)
    if facts["model"]["digest"] != model.hash:
        raise UserError(
            f"{evaluation} is of another model than {model.path}: run `dvc repro evaluate`."
        )
    scores, named = read_scores(evaluation), [*params.thresholds, params.promote_metric]
    check_names(named, scores)
    known = named_scores(scores, read_json(evaluation / METRICS_FILE), named)
    reasons = [
        _missed(name, known.get(name), least)
        for name, least in params.thresholds.items()
        if known.get(name) is None or known[name] < least
    ]
    return Registration(
        model_name=params.model_name,
        model_path=model.path,
        model_digest=model.hash,
        evaluation_path=facts["dataset"]["path"],
        evaluation_digest=facts["dataset"]["digest"],
        metrics=known,
        thresholds=params.thresholds,
        verdict="rejected" if reasons else "accepted",
        reasons=tuple(reasons),
    )


def _missed(name: str, value: float | None, least: float) -> str:
    if value is None:
        return f"{name} is not defined on this dataset, {least:g} is asked for"
    rounded = f"{value:.3f}"
    return f"{name} {rounded if float(rounded) < least else value} < {least:g}"
