"""Models that no package of the project knows: their files go to MLflow as they are.

Only files of two kinds do: a folder that MLflow's own ``save_model`` wrote, of any flavor, and
weights as safetensors. Nothing is loaded here, so nothing of somebody else's runs; a pickle by
itself is left to the package that wrote it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

MLMODEL = "MLmodel"
"""The file by which MLflow knows a folder as a model."""


def log_model(client: "MlflowClient", path: Path, model_id: str) -> bool:
    """Write the files at ``path`` into a logged model, and finish it.

    Args:
        client: MLflow's client of the store.
        path: A file or a folder.
        model_id: The logged model, which exists and is empty.

    Returns:
        False where the files are of another kind.
    """
    from mlflow.entities import LoggedModelStatus

    if path.is_dir():
        if not (path / MLMODEL).is_file() and not any(path.glob("*.safetensors")):
            return False
        client.log_model_artifacts(model_id, str(path))
    elif path.suffix == ".safetensors":
        client.log_model_artifact(model_id, str(path))
    else:
        return False
    client.finalize_logged_model(model_id, LoggedModelStatus.READY)
    return True
