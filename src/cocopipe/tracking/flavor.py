"""A detector as an MLflow model; the bridge's ``lineage.models`` entry point."""

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cocopipe import params
from lineage.repository.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature

    from cocopipe.detect.network.detector import ModelConfig
    from cocopipe.tracking.carried import Carried

SERVED = "cocopipe.tracking.served"
"""The module that answers."""

_SCRIPT = '''"""Gives MLflow the detector; the code for it lies in the folder `code`."""

from mlflow.models import set_model

from {package}.{served} import DetectorModel

set_model(DetectorModel())
'''

_OF_MLFLOW_ITSELF = (".*Any type hint is inferred as AnyType", "Operation with range is deprecated")
"""Warnings of types in MLflow, and of how it asks pandas."""

_FILES = ("model.safetensors", "config.json")


def log_model(path: Path, model_id: str, name: str) -> bool:
    """Write the detector at ``path`` into a logged model.

    `mlflow.pyfunc.load_model` and ``mlflow models serve`` then answer for image files, also where
    this project is not installed, with the code of now: without any pickle, unless
    ``tracking.torch_model`` asks for the module itself, for `mlflow.pytorch.load_model`.

    Args:
        path: A folder with ``model.safetensors`` and ``config.json``.
        model_id: The logged model, which exists and is empty.
        name: Its name.

    Returns:
        False where ``path`` is not such a folder.
    """
    del name
    if not all((path / each).is_file() for each in _FILES):
        return False
    import mlflow
    from mlflow.entities import LoggedModelStatus

    client = mlflow.MlflowClient()
    run_id = client.get_logged_model(model_id).source_run_id
    with TemporaryDirectory(prefix="cocopipe-") as folder:
        model = _saved(path, Path(folder), model_id, run_id)
        client.log_model_artifacts(model_id, str(model))
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return True


def _saved(path: Path, folder: Path, model_id: str, run_id: str | None) -> Path:
    """Write the model as MLflow lays it out, and return where."""
    with _quiet():
        import mlflow.pyfunc
    from mlflow.models import Model

    from cocopipe.detect.network.detector import read_config
    from cocopipe.tracking.carried import carried, importable
    from cocopipe.tracking.served import ARTIFACT, CONFIG

    config, code, out = read_config(path), carried(SERVED), folder / "model"
    (folder / "code").mkdir()
    code.write(folder / "code")
    script = folder / "detector.py"
    script.write_text(_SCRIPT.format(package=code.name, served=SERVED), encoding="utf-8")
    files = folder / ARTIFACT
    files.mkdir()
    for each in _FILES:
        shutil.copyfile(path / each, files / each)  # MLflow follows no links out of a folder
    described = Model(run_id=run_id, model_id=model_id)
    with importable(folder / "code", code.name), _quiet():
        mlflow.pyfunc.save_model(
            path=str(out),
            mlflow_model=described,
            python_model=str(script),
            artifacts={ARTIFACT: str(files)},
            code_paths=[str(folder / "code" / code.name)],
            model_config=CONFIG,
            pip_requirements=_requirements(code, config),
            signature=_signature(config),
            input_example=_example(),
        )
    _forget(folder, described)
    if _wants_torch_model():
        _add_torch_model(path, out, described, folder / "torch")
    described.save(str(out / "MLmodel"))
    return out


def _forget(folder: Path, described: "Model") -> None:
    """Leave out of a model's description where it lay on this machine while it was made."""
    flavor = described.flavors["python_function"]
    flavor["model_code_path"] = Path(flavor["model_code_path"]).name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = Path(artifact["uri"]).relative_to(folder).as_posix()


def _requirements(code: "Carried", config: "ModelConfig") -> list[str]:
    """What a served model needs installed; RLE only where there are masks."""
    return [
        each
        for each in code.requirements()
        if config.needs_masks or not each.startswith("pycocotools==")
    ]


def _signature(config: "ModelConfig") -> "ModelSignature":
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Object, Property

    from cocopipe.tracking.served import IMAGE, PARAMS

    kinds = {float: DataType.double, int: DataType.long, bool: DataType.boolean}
    answered: dict[str, Any] = {
        "boxes": Array(Array(DataType.double)),
        "scores": Array(DataType.double),
        "category_ids": Array(DataType.long),
        "category_names": Array(DataType.string),
        "width": DataType.long,
        "height": DataType.long,
    }
    if config.needs_masks:
        rle = [Property("size", Array(DataType.long)), Property("counts", DataType.string)]
        answered["masks"] = Array(Object(rle))
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, IMAGE)]),
        outputs=Schema([ColSpec(kind, name) for name, kind in answered.items()]),
        params=ParamSchema(
            [ParamSpec(name, kinds[type(value)], value) for name, value in PARAMS.items()]
        ),
    )


def _example() -> Any:
    """A table with one small JPEG, a light square on dark ground, and the params of a request."""
    import io

    import pandas as pd
    from PIL import Image

    from cocopipe.tracking.served import IMAGE, PARAMS

    picture = Image.new("RGB", (96, 64), (40, 44, 52))
    picture.paste((230, 190, 60), (30, 14, 66, 50))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=85)
    return pd.DataFrame({IMAGE: [file.getvalue()]}), dict(PARAMS)


def _wants_torch_model() -> bool:
    """Whether ``params.yaml`` of the project, where there is one, asks for torch's own module."""
    file = Workspace.find().root / "params.yaml"
    return file.is_file() and params.read(file).tracking.torch_model


def _add_torch_model(path: Path, out: Path, described: "Model", folder: Path) -> None:
    """Add the flavor of torch to a model: the pickled module, beside what is there."""
    import mlflow.pytorch
    import torch
    from mlflow.models import Model

    from cocopipe.detect.network.detector import load

    own, module = Model(), load(path, torch.device("cpu")).module
    with _quiet():
        mlflow.pytorch.save_model(
            module,
            str(folder),
            mlflow_model=own,
            serialization_format="pickle",
            pip_requirements=["torch", "torchvision"],
        )
    flavor = own.flavors[mlflow.pytorch.FLAVOR_NAME]
    shutil.copytree(folder / flavor["model_data"], out / flavor["model_data"])
    described.add_flavor(mlflow.pytorch.FLAVOR_NAME, **flavor)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what MLflow says of what is as it should be, such as a pickle that was asked for."""
    loggers = [logging.getLogger(f"mlflow.{name}") for name in ("pyfunc", "pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for message in _OF_MLFLOW_ITSELF:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
