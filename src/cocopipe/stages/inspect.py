"""Stage inspect: statistics and pictures of the data."""

import mlflow

from cocopipe.files import new_directory
from cocopipe.params import Params
from cocopipe.quality import inspect as quality
from lineage import StageRun


def inspect(run: StageRun, params: Params) -> dict[str, float]:
    """Write ``reports/data`` and log it; returns the main figures."""
    out = run.out("data")
    with new_directory(out) as report:
        splits = {name: run.dep(name).location for name in ("train", "val", "test")}
        metrics = quality.inspect(splits, report, pictures=params.inspect.pictures)
    mlflow.log_metrics(metrics)
    mlflow.log_artifacts(str(out))
    return metrics
