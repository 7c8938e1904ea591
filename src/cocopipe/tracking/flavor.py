"""A detector as an MLflow model; the bridge's ``lineage.models`` entry point."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "torchvision")
"""All that unpickling a detector needs; naming them saves MLflow a search of 13 s."""


def log_model(path: Path, model_id: str, name: str) -> bool:
    """Write the detector at ``path`` into a logged model.

    `mlflow.pytorch.load_model` then gives the torchvision module, also where this
    project is not installed. MLflow's default format traces the model, which a
    detector's data-dependent shapes do not allow.

    Args:
        path: A folder with ``model.safetensors`` and ``config.json``.
        model_id: The logged model, which exists and is empty.
        name: Its name.

    Returns:
        False where ``path`` is not such a folder.
    """
    if not (path / "model.safetensors").is_file() or not (path / "config.json").is_file():
        return False
    import mlflow.pytorch
    import numpy as np
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from cocopipe.detect.network.detector import load

    detector = load(path, torch.device("cpu"))
    float32, int64 = np.dtype(np.float32), np.dtype(np.int64)
    images = Schema([TensorSpec(float32, (-1, 3, -1, -1))])
    found = Schema(
        [
            TensorSpec(float32, (-1, 4), "boxes"),
            TensorSpec(int64, (-1,), "labels"),
            TensorSpec(float32, (-1,), "scores"),
        ]
    )
    side = detector.config.min_size
    with _quiet():
        mlflow.pytorch.log_model(
            detector.module,
            name=name,
            model_id=model_id,
            serialization_format="pickle",
            pip_requirements=[f"{package}=={version(package)}" for package in PACKAGES],
            signature=ModelSignature(inputs=images, outputs=found),
            input_example=np.zeros((1, 3, side, side), np.float32),
            extra_files=[str(path / "config.json")],
        )
    return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence two warnings: of pickle, which docs/lineage.md speaks of, and of serving.

    MLflow tries the input example as a request to a model server, which wants one tensor
    as an answer and not a detector's list of dicts.
    """
    loggers = [logging.getLogger(name) for name in ("mlflow.pytorch", "mlflow.models.model")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
