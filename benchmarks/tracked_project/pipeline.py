"""The pipeline of the made-up project: this repository's own, without its bulk."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.tracked_project.text import yaml_text

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = "dvc.yaml"
EXPERIMENT = "cocopipe"
MODEL_NAME = "coco-detector"

RAW, TRAIN, VAL, TEST = "data/raw", "data/train", "data/val", "data/test"
MODEL = "models/detector"
REGISTRATION = "reports/register.json"


@dataclass(frozen=True)
class Stage:
    """A stage of ``dvc.yaml``.

    Attributes:
        name: Also that of its section in ``params.yaml``.
        outs: Path -> its annotation.
        contexts: Path of a dataset that it reads -> the context that it names for it.
        tags: What the stage itself adds to the tags of its run.
        seconds: How long it runs.
    """

    name: str
    outs: Mapping[str, Mapping[str, Any]]
    contexts: Mapping[str, str]
    tags: Mapping[str, str]
    seconds: int = 60

    @property
    def command(self) -> str:
        """What DVC runs."""
        return f"bin/stage {self.name}"

    @property
    def deps(self) -> Sequence[str]:
        """Paths, in order: those of this repository's own stage."""
        return DEPS[self.name]


PARAMS: Mapping[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
"""Those of this repository, so that they cannot grow old."""


def _filled_in(path: str) -> str:
    """A path of ``dvc.yaml`` with the params that it names."""

    def value(match: re.Match[str]) -> str:
        return str(reduce(getitem, match[1].split("."), PARAMS))

    return re.sub(r"\$\{([\w.]+)\}", value, path)


DEPS: Mapping[str, Sequence[str]] = {
    name: tuple(map(_filled_in, stage["deps"]))
    for name, stage in YAML(typ="safe").load(ROOT / PIPELINE)["stages"].items()
}
"""Name of a stage -> what it depends on; of this repository too."""

DATASET, REPORT = {"type": "dataset"}, {"type": "report"}
WORKERS = {"machine.workers": "2"}
DEVICE = {**WORKERS, "machine.device": "cpu"}

STAGES = (
    Stage(
        name="download",
        outs={RAW: {**DATASET, "push": False}},
        contexts={},
        tags={"download.source": "sample"},
    ),
    Stage(
        name="convert",
        outs={TRAIN: DATASET, VAL: DATASET, TEST: DATASET, "reports/convert": REPORT},
        contexts={},
        tags=WORKERS,
    ),
    Stage(
        name="inspect",
        outs={"reports/data": REPORT},
        contexts={},
        tags={},
    ),
    Stage(
        name="train",
        outs={MODEL: {"type": "model"}, "reports/train": REPORT},
        contexts={TRAIN: "training", VAL: "validation"},
        tags=DEVICE,
        seconds=900,
    ),
    Stage(
        name="evaluate",
        outs={"reports/evaluate": REPORT},
        contexts={VAL: "evaluation"},
        tags=DEVICE,
    ),
    Stage(
        name="register",
        outs={REGISTRATION: {**REPORT, "labels": ["registration"]}},
        contexts={},
        tags={},
    ),
)

ANNOTATIONS = {path: annotation for stage in STAGES for path, annotation in stage.outs.items()}
"""Path of every output -> its annotation."""

FOLDERS = {
    RAW: ("annotations.zip", "images.zip"),
    # Not the layout of this project's own splits, whose facts are read from real Parquet files.
    TRAIN: ("annotations.bin", "images.bin"),
    VAL: ("annotations.bin", "images.bin"),
    TEST: ("annotations.bin",),
    MODEL: ("config.json", "model.safetensors"),
    "reports/convert": ("conversion.json", "notes.md"),
    "reports/data": ("class_balance.png", "statistics.json"),
    "reports/train": ("average_precision.csv", "chosen.json", "epochs.csv", "steps.csv"),
    "reports/evaluate": ("metrics.json", "per_category.csv", "precision_recall.csv"),
}
"""Path of an output that is a folder -> the files in it."""

TRAINING_CODE = ("src/cocopipe/detect/training/loop.py", "src/cocopipe/stages/train.py")
"""What is worked on."""


def _one_of(path: str) -> str:
    """A module of this repository that a dependency is or holds."""
    whole = ROOT / path
    modules = (each for each in whole.rglob("*.py") if each.name != "__init__.py")
    return path if whole.is_file() else min(modules).relative_to(ROOT).as_posix()


CODE = sorted(
    {_one_of(path) for stage in STAGES for path in stage.deps if path.startswith("src/")}
    | {*TRAINING_CODE}
)
"""For each dependency on code a module at least."""


def first_texts() -> dict[str, str]:
    """Path -> text of what the first commit holds beside the params."""
    stages = {
        stage.name: {
            "cmd": stage.command,
            "deps": list(stage.deps),
            "params": [stage.name],
            "outs": [{path: annotation} for path, annotation in stage.outs.items()],
        }
        for stage in STAGES
    }
    return {
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvc/config": "[core]\n    analytics = false\n",
        ".dvcignore": "mlartifacts/\n",
        ".gitignore": "/mlflow.db*\n/mlartifacts/\n",
        "README.md": "# Detector\n",
        "bin/stage": "#!/bin/sh\necho 'made up, and never run' >&2\nexit 1\n",
        "data/.gitignore": "/raw\n/train\n/val\n/test\n",
        "data/source/.gitkeep": "",
        "models/.gitignore": "/detector\n",
        "models/initial/.gitkeep": "",
        "reports/.gitignore": "/convert\n/data\n/train\n/evaluate\n/register.json\n",
        PIPELINE: yaml_text({"stages": stages, "metrics": ["reports/evaluate/metrics.json"]}),
        **{path: f'"""{path}, revision 0."""\n' for path in CODE},
    }
