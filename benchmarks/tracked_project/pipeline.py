"""The pipeline of the made-up project: this repository's own, without its bulk."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.tracked_project.text import yaml_text

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

PARAMS: Mapping[str, Any] = {
    "download": {
        "source": "sample",
        "sample": {"images": 360, "image_size": 128, "seed": 0},
        "directory": {"path": "data/source", "splits": {}},
        "coco": {"splits": ["val2017"], "base_url": "http://images.cocodataset.org"},
    },
    "convert": {"validation_fraction": 0.2, "subset": None, "on_missing": "error"},
    "inspect": {"pictures": 16, "columns": 4, "seed": 0},
    "train": {
        "model": "fcos_tiny",
        "weights": "none",
        "image_size": None,
        "epochs": 12,
        "batch_size": 8,
        "seed": 0,
        "optimizer": {
            "name": "adamw",
            "learning_rate": 0.002,
            "weight_decay": 0.0001,
            "momentum": 0.9,
        },
        "schedule": {"name": "one_cycle", "warmup_fraction": 0.2, "final_fraction": 0.001},
        "gradient_clip": 10.0,
        "augment": {
            "horizontal_flip": 0.5,
            "photometric": 0.3,
            "crop": 0.0,
            "rotate": 0.0,
            "scale": None,
        },
        "loss": {"focal_alpha": 0.25, "focal_gamma": 2.0, "box_weight": 1.0},
        "anchors": {"strides": [8, 16, 32, 64], "center_radius": 1.5},
    },
    "evaluate": {"score_threshold": 0.01, "pictures": 12, "detections": 100},
    "register": {"model_name": MODEL_NAME, "thresholds": {"AP50": 0.5}, "promote_metric": "AP"},
    "tracking": {"experiment": EXPERIMENT},
}


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
