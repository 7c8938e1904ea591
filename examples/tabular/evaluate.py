"""Measure the model on houses that it has not seen, and register it with a verdict."""

import json
from pathlib import Path

import mlflow.sklearn
import yaml
from rows import read
from sklearn.metrics import mean_absolute_error, r2_score

import lineage

least = yaml.safe_load(Path("params.yaml").read_text())["evaluate"]

with lineage.stage({"test": "evaluation"}) as run:
    test, model = run.dep("test"), run.dep("prices")
    houses, prices = read(test.location)
    guessed = mlflow.sklearn.load_model(str(model.location)).predict(houses)
    metrics = {"r2": r2_score(prices, guessed), "error": mean_absolute_error(prices, guessed)}
    mlflow.log_metrics(metrics, model_id=run.model_ids[model.hash], dataset=run.dataset("test"))
    registration = lineage.Registration(
        model_name="prices",
        model_path=model.path,
        model_digest=model.hash,
        evaluation_path=test.path,
        evaluation_digest=test.hash,
        metrics=metrics,
        thresholds=least,
        verdict="accepted" if metrics["r2"] >= least["r2"] else "rejected",
    )
    for name, values in {"metrics": metrics, "registration": registration.as_dict()}.items():
        run.out(name).parent.mkdir(exist_ok=True)
        run.out(name).write_text(json.dumps(values, indent=2))
    lineage.register(run.project, registration)
