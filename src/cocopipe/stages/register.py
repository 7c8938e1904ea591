"""Stage register: the verdict on the model, and its version in MLflow."""

import json
from pathlib import Path
from typing import Any

import mlflow

import lineage
from cocopipe.errors import UserError
from cocopipe.files import write_json
from cocopipe.params import Params, Register
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
    metrics = _read(evaluation / "metrics.json")
    facts = _read(evaluation / "evaluation.json")
    if facts["model"]["digest"] != model.hash:
        raise UserError(
            f"{evaluation} is of another model than {model.path}: run `dvc repro evaluate`."
        )
    for name in [*params.thresholds, params.promote_metric]:
        if name not in metrics:
            raise UserError(
                f"params.yaml: register names the metric {name}, which the evaluation does not"
                f" have; it has {', '.join(metrics)}."
            )
    known = {name: value for name, value in metrics.items() if value is not None}
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


def _read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
