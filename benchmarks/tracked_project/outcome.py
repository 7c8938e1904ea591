"""Working trees, and what ``dvc repro`` makes of one.

Nothing runs: what a stage writes and measures is a function of its signature.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from textwrap import indent
from typing import Any

from benchmarks.tracked_project.content import Content
from benchmarks.tracked_project.pipeline import (
    ANNOTATIONS,
    FOLDERS,
    MODEL,
    MODEL_NAME,
    PIPELINE,
    REGISTRATION,
    STAGES,
    VAL,
    Stage,
)
from benchmarks.tracked_project.text import yaml_text
from lineage.identity import Execution, StageId, signature
from lineage.recording.registration import Registration
from lineage.repository.items import Item, Observed

LOSSES = ("classification", "bbox_regression", "bbox_ctrness", "loss")
PRECISIONS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
RECALLS = ("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large")
OBJECTS_AN_IMAGE = 3


@dataclass(frozen=True)
class Outcome:
    """What a stage came to.

    Attributes:
        stage: Which.
        observed: What it read and wrote.
        outs: Path -> what it wrote there.
        metrics: What it measured.
        entry: Its entry in ``dvc.lock``.
    """

    stage: Stage
    observed: Observed
    outs: Mapping[str, Content]
    metrics: Mapping[str, float]
    entry: Mapping[str, Any]

    @property
    def signature(self) -> str:
        """See `lineage.identity.signature`."""
        return self.observed.execution.signature

    @cached_property
    def lock_text(self) -> str:
        """Its part of ``dvc.lock``."""
        return indent(yaml_text({self.stage.name: self.entry}), "  ")


@dataclass(frozen=True)
class State:
    """A working tree.

    Attributes:
        params: What ``params.yaml`` holds.
        texts: Path -> text of what git keeps beside that and the lock.
        outcomes: Name of a stage -> what ``dvc.lock`` says of it.
    """

    params: Mapping[str, Any]
    texts: Mapping[str, str]
    outcomes: Mapping[str, Outcome]

    @cached_property
    def tracked(self) -> dict[str, str]:
        """Path -> text of all that git keeps."""
        files = {**self.texts, "params.yaml": yaml_text(self.params)}
        if self.outcomes:
            entries = "".join(self.outcomes[stage.name].lock_text for stage in STAGES)
            files["dvc.lock"] = f"schema: '2.0'\nstages:\n{entries}"
        return files

    def with_params(self, values: Mapping[str, Any]) -> "State":
        """The same with other values of the params with these dotted names."""
        params = self.params
        for name, value in values.items():
            params = _replaced(params, name.split("."), value)
        return replace(self, params=params)

    def with_text(self, path: str, text: str) -> "State":
        """The same with another text at ``path``."""
        return replace(self, texts={**self.texts, path: text})


def _replaced(values: Mapping[str, Any], names: Sequence[str], value: Any) -> dict[str, Any]:
    first, *rest = names
    return {**values, first: _replaced(values[first], rest, value) if rest else value}


def reproduce(state: State) -> tuple[State, list[Outcome]]:
    """What ``dvc repro`` leaves, and the outcomes of the stages that it had to run."""
    ran = []
    for stage in STAGES:
        determinants = _determinants(stage, state)
        locked = state.outcomes.get(stage.name)
        if locked is None or locked.signature != signature(determinants):
            outcome = _outcome(stage, determinants, state)
            state = replace(state, outcomes={**state.outcomes, stage.name: outcome})
            ran.append(outcome)
    return state, ran


def _determinants(stage: Stage, state: State) -> dict[str, Any]:
    """The stage's lock entry as far as it is known before it runs."""
    written = {path: out for each in state.outcomes.values() for path, out in each.outs.items()}
    deps = {path: written.get(path) or _code(path, state.texts) for path in stage.deps}
    return {
        "cmd": stage.command,
        "deps": [_locked(path, content) for path, content in deps.items()],
        "params": {"params.yaml": {stage.name: state.params[stage.name]}},
    }


def _code(path: str, texts: Mapping[str, str]) -> Content:
    if path in texts:
        return Content.of_file(texts[path].encode())
    folder = f"{path}/"
    return _code_folder(
        tuple(
            (name.removeprefix(folder), text)
            for name, text in texts.items()
            if name.startswith(folder)
        )
    )


@cache
def _code_folder(texts: tuple[tuple[str, str], ...]) -> Content:
    return Content({name: text.encode() for name, text in texts})


def _locked(path: str, content: Content) -> dict[str, Any]:
    item = {"path": path, "hash": "md5", "md5": content.hash, "size": content.size_bytes}
    return {**item, "nfiles": len(content.files)} if content.is_folder else item


def _outcome(stage: Stage, determinants: Mapping[str, Any], state: State) -> Outcome:
    name = signature(determinants)
    metrics = _metrics(stage, state.params, random.Random(name))
    outs = {path: _written(path, name, metrics, state) for path in stage.outs}
    entry = {**determinants, "outs": [_locked(path, content) for path, content in outs.items()]}
    observed = Observed(
        execution=Execution.from_lock_entry(StageId(PIPELINE, stage.name), entry, ""),
        command=stage.command,
        params=entry["params"],
        deps=tuple(map(_item, entry["deps"])),
        outs=tuple(map(_item, entry["outs"])),
    )
    return Outcome(stage, observed, outs, metrics, entry)


def _item(locked: Mapping[str, Any]) -> Item:
    annotation = ANNOTATIONS.get(locked["path"], {})
    return Item(
        path=locked["path"],
        location=Path(locked["path"]),  # which is never looked at
        hash=locked["md5"],
        kind=annotation.get("type", "code"),
        labels=tuple(annotation.get("labels", ())),
        size_bytes=locked["size"],
        files=locked.get("nfiles", 1),
    )


def _written(path: str, name: str, metrics: Mapping[str, float], state: State) -> Content:
    """What a stage with the signature ``name`` writes to ``path``."""
    if path == REGISTRATION:
        text = json.dumps(_registration(state.outcomes["evaluate"], state.params).as_dict())
        return Content.of_file(text.encode())
    files = {file: f"{path}/{file} of {name}\n".encode() for file in FOLDERS[path]}
    if "metrics.json" in files:
        files["metrics.json"] = json.dumps(metrics).encode()
    return Content(files)


def _registration(evaluate: Outcome, params: Mapping[str, Any]) -> Registration:
    """What the register stage says of an evaluated model."""
    read = evaluate.observed.execution.deps
    thresholds = params["register"]["thresholds"]
    missed = [name for name, least in thresholds.items() if evaluate.metrics[name] < least]
    return Registration(
        model_name=MODEL_NAME,
        model_path=MODEL,
        model_digest=read[MODEL],
        evaluation_path=VAL,
        evaluation_digest=read[VAL],
        metrics=evaluate.metrics,
        thresholds=thresholds,
        verdict="rejected" if missed else "accepted",
        reasons=tuple(f"{name} is below {thresholds[name]}." for name in missed),
    )


def _metrics(stage: Stage, params: Mapping[str, Any], rng: random.Random) -> dict[str, float]:
    match stage.name:
        case "convert" | "inspect":
            return _sizes(params)
        case "train":
            parts = ("train", "validation")
            losses = {f"{part}/{name}": rng.random() for part in parts for name in LOSSES}
            return {**losses, "learning_rate": 4e-8, "images_per_s": 31.0, "epoch_s": 6.4}
        case "evaluate":
            quality = rng.uniform(0.2, 0.9)
            return {name: quality * rng.uniform(0.8, 1.1) for name in PRECISIONS + RECALLS}
        case _:
            return {}


def _sizes(params: Mapping[str, Any]) -> dict[str, float]:
    images = params["download"]["sample"]["images"]
    val = round(images * params["convert"]["validation_fraction"])
    return {
        f"{split}.{name}": float(count)
        for split, size in (("train", images - val), ("val", val), ("test", 0))
        for name, count in {
            "images": size,
            "annotations": OBJECTS_AN_IMAGE * size,
            "categories_used": 4,
            "boxes_not_finite": 0,
            "boxes_degenerate": 0,
            "boxes_outside": 0,
        }.items()
    }


def split_facts(path: str, convert: Outcome) -> dict[str, Any]:
    """The profile of a split that ``convert`` wrote."""
    split = path.rpartition("/")[2]
    return {
        "images": int(convert.metrics[f"{split}.images"]),
        "annotations": int(convert.metrics[f"{split}.annotations"]),
        "categories": int(convert.metrics[f"{split}.categories_used"]),
        "documents": "instances",
    }
