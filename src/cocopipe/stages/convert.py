"""Stage convert: image store and annotation tables from raw COCO data."""

from contextlib import ExitStack
from dataclasses import asdict

import mlflow

from cocopipe.convert.convert import convert as convert_raw
from cocopipe.convert.notes import as_markdown
from cocopipe.convert.result import Conversion
from cocopipe.convert.roles import ROLES
from cocopipe.files import new_directory, write_json
from cocopipe.params import Params
from cocopipe.tracking.machine import log_machine
from lineage import StageRun


def convert(run: StageRun, params: Params) -> Conversion:
    """Write a split for each role, and ``reports/convert``; log, and return, what was counted."""
    with ExitStack() as stack:
        out = {role: stack.enter_context(new_directory(run.out(role))) for role in ROLES}
        report = stack.enter_context(new_directory(run.out("convert")))
        conversion = convert_raw(
            run.dep("raw").location,
            out,
            params.convert,
            workers=params.machine.workers,
        )
        write_json(report / "conversion.json", asdict(conversion))
        (report / "notes.md").write_text(as_markdown(conversion.notes), encoding="utf-8")
    log_machine(workers=params.machine.workers)
    mlflow.log_metrics(conversion.metrics())
    mlflow.log_artifacts(str(run.out("convert")))
    return conversion
