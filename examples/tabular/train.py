"""Fit a linear model to the prices."""

from pathlib import Path

import mlflow.sklearn
import yaml
from rows import read
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import lineage

alpha = yaml.safe_load(Path("params.yaml").read_text())["train"]["alpha"]

with lineage.stage({"train": "training"}) as run:
    houses, prices = read(run.dep("train").location)
    model = make_pipeline(StandardScaler(), Ridge(alpha)).fit(houses, prices)
    mlflow.log_metric("train_r2", model.score(houses, prices))
    # MLflow's own format, in which the bridge gives it to MLflow. Named packages save a search.
    mlflow.sklearn.save_model(model, run.out("prices"), pip_requirements=["scikit-learn", "skops"])
