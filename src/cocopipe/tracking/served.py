"""A detector as MLflow serves it.

This module, and all that it imports of this project, is copied into every model that is logged,
see `cocopipe.tracking.carried`: what answers is the code that the model was logged with.
"""

import base64
import binascii
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from cocopipe.detect.network.device import choose
from cocopipe.detect.serving.finder import AS_STORED, Finder, Found
from cocopipe.pictures.examine import UnreadableImageError

IMAGE = "image"
"""The column of image files."""

ARTIFACT = "detector"
"""What the folder of weights and configuration is called in the model."""

PARAMS: dict[str, float | int | bool] = {
    "score_threshold": 0.3,
    "max_detections": 100,
    "upright": False,
}
"""What a request may ask for, and what it gets that does not."""

CONFIG: dict[str, Any] = {"device": "auto", "local_files": False}
"""What may be set where the model is loaded: the device, as ``machine.device``, and whether text
is the path of a file on this machine. Else it is an image as base64, so that nobody who sends
requests can have a file read."""

_MOST_DETECTIONS = 10_000


class DetectorModel(PythonModel):
    """Answers for a table of images with a table of what is found on each."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the weights; MLflow calls this first."""
        config = CONFIG | dict(context.model_config or {})
        self._local_files = bool(config["local_files"])
        self._finder = Finder(Path(context.artifacts[ARTIFACT]), choose(config["device"]))

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002 - MLflow's signature
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Find objects.

        Args:
            context: What `load_context` was given.
            model_input: A table with the column ``image``: files as bytes, or as base64 text; as
                paths where the model was loaded with ``local_files``.
            params: As `PARAMS`.

        Returns:
            A row for each image: ``boxes`` (left, top, right, bottom in pixels), ``scores``,
            ``category_ids``, ``category_names``, the best first; ``width`` and ``height`` of the
            image that they are of; ``masks`` as COCO's RLE, from a network that has them.

        Raises:
            MlflowException: One of these is not what it should be; a server answers 400.
        """
        threshold, most, upright = _asked({**PARAMS, **(params or {})})
        rows = []
        for row, value in enumerate(_column(model_input)):
            try:
                found = self._finder.find(
                    self._file(value),
                    score_threshold=threshold,
                    most=most,
                    turn=None if upright else AS_STORED,
                )
            except ValueError as error:
                raise _refusal(f"{IMAGE} {row} can't be looked at: {error}") from error
            rows.append(_row(found))
        return pd.DataFrame(rows)

    def _file(self, value: Any) -> bytes:
        """The bytes of an image file that a cell of the table holds or names."""
        if isinstance(value, bytes | bytearray):
            return bytes(value)
        if not isinstance(value, str):
            raise UnreadableImageError(
                "it is neither bytes nor text, but"
                f" {type(value).__name__}; send the file's bytes, as base64 where it is JSON"
            )
        if self._local_files:
            try:
                return Path(value).read_bytes()
            except (OSError, ValueError) as error:
                raise UnreadableImageError(f"{value!r} can't be read: {error}") from error
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UnreadableImageError(
                "its text is no base64; send the file's bytes so, or load the model with"
                " model_config={'local_files': True} for paths"
            ) from error


def _column(table: pd.DataFrame) -> list[Any]:
    """The images of a request."""
    if not isinstance(table, pd.DataFrame) or IMAGE not in table:
        raise _refusal(f"send a table with the column {IMAGE}")
    if not len(table):
        raise _refusal(f"the table has no rows: send an {IMAGE}, at least")
    return list(table[IMAGE])


def _asked(params: dict[str, Any]) -> tuple[float, int, bool]:
    for name, value in params.items():
        if name not in PARAMS:
            raise _refusal(f"the param {name} is unknown: there are {', '.join(PARAMS)}")
        if value is None:
            raise _refusal(f"{name} is null: give it a value, or leave it out")
    threshold, most = float(params["score_threshold"]), int(params["max_detections"])
    if not 0 <= threshold <= 1:
        raise _refusal(f"score_threshold is {threshold}: give a number from 0 to 1")
    if not 1 <= most <= _MOST_DETECTIONS:
        raise _refusal(f"max_detections is {most}: give a number from 1 to {_MOST_DETECTIONS:,}")
    return threshold, most, bool(params["upright"])


def _refusal(sentence: str) -> MlflowException:
    return MlflowException(f"{sentence}.", error_code=INVALID_PARAMETER_VALUE)


def _row(found: Found) -> dict[str, Any]:
    return {
        "boxes": found.boxes,
        "scores": found.scores,
        "category_ids": [category.id for category in found.categories],
        "category_names": [category.name for category in found.categories],
        "width": found.width,
        "height": found.height,
        **({} if found.masks is None else {"masks": found.masks}),
    }
