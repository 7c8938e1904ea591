"""The pipeline of the made-up project: this repository's own, without its bulk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.tracked_project.text import yaml_text

ROOT = Path(__file__).resolve().parents[2]
PIPELINE = "dvc.yaml"
EXPERIMENT = "cocopipe"
MODEL_NAME = "coco-detector"

RAW, TRAIN, VAL = "data/raw", "data/train", "data/val"
MODEL = "models/detector"
REGISTRATION = "reports/register.json"


@dataclass(frozen=True)
class Stage:
    """A stage of ``dvc.yaml``.

    Attributes:
        name: Also that of its section in ``params.yaml``.
        deps: Paths, in order.
        outs: Path -> its annotation.
        contexts: Path of a dataset that it reads -> the context that it names for it.
        tags: What the stage itself adds to the tags of its run.
        seconds: How long it runs.
    """

    name: str
    deps: Sequence[str]
    outs: Mapping[str, Mapping[str, Any]]
    contexts: Mapping[str, str]
    tags: Mapping[str, str]
    seconds: int = 60

    @property
    def command(self) -> str:
        """What DVC runs."""
        return f"bin/stage {self.name}"


DATASET, REPORT = {"type": "dataset"}, {"type": "report"}
WORKERS = {"machine.workers": "2"}
DEVICE = {**WORKERS, "machine.device": "cpu"}

STAGES = (
    Stage(
        name="download",
        deps=(
            "data/source",
            "src/cocopipe/coco/raw.py",
            "src/cocopipe/files.py",
            "src/cocopipe/sources",
            "src/cocopipe/stages/download.py",
        ),
        outs={RAW: {**DATASET, "push": False}},
        contexts={},
        tags={"download.source": "sample"},
    ),
    Stage(
        name="convert",
        deps=(
            RAW,
            "src/cocopipe/coco",
            "src/cocopipe/files.py",
            "src/cocopipe/stages/convert.py",
        ),
        outs={TRAIN: DATASET, VAL: DATASET},
        contexts={},
        tags=WORKERS,
    ),
    Stage(
        name="inspect",
        deps=(
            TRAIN,
            VAL,
            "src/cocopipe/coco",
            "src/cocopipe/files.py",
            "src/cocopipe/quality",
            "src/cocopipe/stages/inspect.py",
        ),
        outs={"reports/data": REPORT},
        contexts={},
        tags={},
    ),
    Stage(
        name="train",
        deps=(
            TRAIN,
            VAL,
            "models/initial",
            "src/cocopipe/coco",
            "src/cocopipe/detect",
            "src/cocopipe/files.py",
            "src/cocopipe/stages/train.py",
        ),
        outs={MODEL: {"type": "model"}, "reports/train": REPORT},
        contexts={TRAIN: "training", VAL: "validation"},
        tags=DEVICE,
        seconds=900,
    ),
    Stage(
        name="evaluate",
        deps=(
            VAL,
            MODEL,
            "src/cocopipe/coco",
            "src/cocopipe/detect",
            "src/cocopipe/files.py",
            "src/cocopipe/quality",
            "src/cocopipe/stages/evaluate.py",
        ),
        outs={"reports/evaluate": REPORT},
        contexts={VAL: "evaluation"},
        tags=DEVICE,
    ),
    Stage(
        name="register",
        deps=(
            MODEL,
            "reports/evaluate",
            "src/cocopipe/files.py",
            "src/cocopipe/stages/register.py",
        ),
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
    MODEL: ("config.json", "model.safetensors"),
    "reports/data": ("class_balance.png", "statistics.json"),
    "reports/train": ("epochs.csv", "steps.csv"),
    "reports/evaluate": ("metrics.json", "per_category.csv", "precision_recall.csv"),
}
"""Path of an output that is a folder -> the files in it."""

TRAINING_CODE = ("src/cocopipe/detect/loop.py", "src/cocopipe/stages/train.py")
"""What is worked on."""

CODE = (
    *TRAINING_CODE,
    "src/cocopipe/coco/raw.py",
    "src/cocopipe/coco/store.py",
    "src/cocopipe/coco/tables.py",
    "src/cocopipe/detect/model.py",
    "src/cocopipe/files.py",
    "src/cocopipe/quality/statistics.py",
    "src/cocopipe/sources/sample.py",
    *(f"src/cocopipe/stages/{stage.name}.py" for stage in STAGES if stage.name != "train"),
)

PARAMS: Mapping[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
"""Those of this repository, so that they cannot grow old."""


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
        "data/.gitignore": "/raw\n/train\n/val\n",
        "data/source/.gitkeep": "",
        "models/.gitignore": "/detector\n",
        "models/initial/.gitkeep": "",
        "reports/.gitignore": "/data\n/train\n/evaluate\n/register.json\n",
        PIPELINE: yaml_text({"stages": stages, "metrics": ["reports/evaluate/metrics.json"]}),
        **{path: f'"""{path}, revision 0."""\n' for path in CODE},
    }
