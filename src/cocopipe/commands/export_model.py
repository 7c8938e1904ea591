"""``cocopipe export-model``: a model as an ONNX file, which is scored before it is handed out."""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from cocopipe import params
from cocopipe.commands.asked_model import Model, asked_model
from cocopipe.commands.evaluations import Evaluations
from cocopipe.errors import UserError
from cocopipe.files import new_file
from cocopipe.params import Params
from cocopipe.scores import SUBJECT_FILE
from lineage.edge import Said
from lineage.errors import told
from lineage.join.reference import DataRef, resolve_ref
from lineage.project import Project
from lineage.recording.work import Work, work

if TYPE_CHECKING:
    from cocopipe.detect.evaluation.score import Scores
    from lineage.repository.items import Item

MOST_APART = 0.001
"""By how much the AP of a file may differ from that of the model that it was made of."""

_EXTRA = ("onnx", "onnxruntime")

_VERSION = "model"
"""The tag of a run with the version that it is about; those of the stage register have it, too."""


def run(options: argparse.Namespace) -> Said:
    """Write the file, and a run that tells what it was made of and how well it finds."""
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: run"
            " `pip install '.[onnx]'` in a clone of cocopipe's repository"
        )
    out = Path(options.out)
    if out.exists():
        raise UserError(f"{out} exists: name a file that does not exist yet")
    project = Project.find()
    settings = params.read(project.workspace.root / "params.yaml")
    with asked_model(project, options.model) as model:
        return _export(project, settings, model, options.on, out)


def _export(project: Project, settings: Params, model: Model, on: str | None, out: Path) -> Said:
    """Export, score and record; the file is there only where it finds what the model finds."""
    from cocopipe.detect.network.detector import read_config
    from cocopipe.detect.onnx_file import writing

    writing.check(read_config(model.location))
    evaluations = Evaluations(project, settings, _digest(project, model, on))
    with evaluations.split() as (location, dataset):
        threshold = settings.evaluate.score_threshold
        with (
            work(
                project,
                "export-model",
                [model.item, dataset],
                params={"format": "onnx", "evaluate.score_threshold": threshold},
                tags={_VERSION: model.versions[0]} if model.versions else {},
                contexts={dataset.name: "evaluation"},
            ) as recorded,
            new_file(out) as partial,
        ):
            before, after = _scored(settings, model, location, partial)
            name = model.versions[0] if model.versions else model.item.path
            known, own = before.metrics["AP"] or 0.0, after.metrics["AP"] or 0.0
            if abs(known - own) > MOST_APART:
                raise UserError(
                    f"the ONNX file of {name} has AP {own:.4f} on {dataset.path}, and the model"
                    f" {known:.4f}, which are more than {MOST_APART} apart: it is not written"
                )
            digest = _record(recorded, partial, out, dataset, after)
    return Said(
        told(f"{out}: AP {own:.4f}, {known:.4f} of {name} · {digest} · run {recorded.run_id}")
        + "\n"
    )


def _digest(project: Project, model: Model, on: str | None) -> str:
    """The DVC hash of the dataset to score on."""
    if on is not None:
        match resolve_ref(project, on):
            case DataRef(digest, _, _):
                return digest
            case other:
                raise UserError(f"--on {on} is {other}: give a converted split, such as path@rev")
    evaluated = [
        each.evaluated_on
        for each in project.registry.versions
        if each.id in model.versions and each.evaluated_on
    ]
    if not evaluated:
        raise UserError(
            f"{model.item.path} ({model.item.hash}) is no version that was evaluated: say on what"
            " to score the file, with --on"
        )
    return evaluated[0]


def _scored(settings: Params, model: Model, split: Path, file: Path) -> "tuple[Scores, Scores]":
    """Write the file, and score the model and it, in the same way on the CPU."""
    import cocopipe.detect.network.device as devices
    from cocopipe.detect.evaluation.score import score
    from cocopipe.detect.network.detector import Detector, load, own_threshold
    from cocopipe.detect.onnx_file.running import OnnxModule
    from cocopipe.detect.onnx_file.writing import write_onnx
    from cocopipe.detect.prediction.predict import BATCH_SIZE, predict
    from cocopipe.split.objects import ground_truth

    device = devices.choose("cpu")
    detector = load(model.location, device)
    threshold = settings.evaluate.score_threshold
    if threshold is None:
        threshold = own_threshold(detector.module)
    about = {"model_hash": model.item.hash, "model_versions": " ".join(model.versions)}
    write_onnx(detector, file, score_threshold=threshold, about=about)
    exported = Detector(OnnxModule(file, score_threshold=threshold), detector.config)
    document = ground_truth(split)
    before, after = (
        score(
            document,
            predict(
                each,
                split,
                batch_size=BATCH_SIZE,
                score_threshold=threshold,
                device=device,
                workers=settings.machine.workers,
            ),
        )
        for each in (detector, exported)
    )
    return before, after


def _record(recorded: Work, file: Path, out: Path, dataset: "Item", scores: "Scores") -> str:
    """Log the file and its figures; returns its hash."""
    written = recorded.wrote(file, out)
    for name, value in scores.metrics.items():
        if value is not None:
            recorded.client.log_metric(recorded.run_id, name, value)
    subject = {
        "model": {"path": written.path, "digest": written.hash},
        "dataset": {"path": dataset.path, "digest": dataset.hash},
    }
    recorded.client.log_text(recorded.run_id, json.dumps(subject), SUBJECT_FILE)
    return written.hash
