"""Stage convert: image store and annotation tables from raw COCO data."""

from dataclasses import asdict

import mlflow

from cocopipe.convert.convert import Conversion
from cocopipe.convert.convert import convert as convert_raw
from cocopipe.files import new_directory
from cocopipe.params import Params
from cocopipe.tracking.machine import log_machine
from lineage import StageRun


def convert(run: StageRun, params: Params) -> Conversion:
    """Write ``data/train`` and ``data/val``; log, and return, what was counted and skipped."""
    with new_directory(run.out("train")) as train, new_directory(run.out("val")) as val:
        conversion = convert_raw(
            run.dep("raw").location,
            train,
            val,
            params.convert,
            workers=params.machine.workers,
        )
    log_machine(workers=params.machine.workers)
    mlflow.log_metrics(conversion.metrics())
    mlflow.log_dict(asdict(conversion), "conversion.json")
    return conversion
