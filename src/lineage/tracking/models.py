"""Models in MLflow, by the DVC hash of their files.

Everything here makes sure that something exists, so it may run twice, in a stage or
outside of one, on this tracking server or on a fresh one.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lineage import plugins
from lineage.errors import LineageError
from lineage.tracking import model_files, outside
from lineage.tracking.connection import all_experiment_ids, pages
from lineage.tracking.tags import MODEL_HASH, evaluation_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_REFUSED = str.maketrans(dict.fromkeys("/:.%\"'", "_"))
"""What MLflow refuses in the name of a logged model, and a file's name may hold."""


def logged_models(client: "MlflowClient", digest: str) -> "list[LoggedModel]":
    """The logged models that were made of the files with this hash."""
    found = pages(
        client.search_logged_models,
        experiment_ids=all_experiment_ids(client),
        filter_string=f"tags.`{MODEL_HASH}` = '{digest}'",
    )
    return [model for model in found if str(model.status) == "READY"]


def find_model(client: "MlflowClient", digest: str) -> str | None:
    """The id of the oldest logged model that was made of the files with this hash."""
    found = logged_models(client, digest)
    return min(found, key=lambda model: model.creation_timestamp).model_id if found else None


def ensure_model(
    client: "MlflowClient",
    experiment_id: str,
    run_id: str | None,
    path: Path,
    digest: str,
) -> str | None:
    """Make sure that MLflow has the model of these files, as an output of its run.

    Args:
        client: MLflow's client of the store.
        experiment_id: Where a new logged model belongs.
        run_id: The run that produced the files; None where no run did.
        path: The files.
        digest: Their DVC hash.

    Returns:
        The id of the logged model; None where neither a package of the project nor
        `model_files` knows this kind of model.
    """
    from mlflow.entities import LoggedModelOutput

    model_id = find_model(client, digest)
    if model_id is None:
        model_id = _log_model(client, experiment_id, run_id, path, digest)
    if model_id is None or run_id is None:
        return model_id
    # MLflow links a model by itself only where its run is the active one.
    outputs = client.get_run(run_id).outputs
    if model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    return model_id


def _log_model(
    client: "MlflowClient", experiment_id: str, run_id: str | None, path: Path, digest: str
) -> str | None:
    from mlflow.entities import LoggedModelStatus

    name = path.name.translate(_REFUSED)
    model = client.create_logged_model(
        experiment_id, name=name, source_run_id=run_id, tags={MODEL_HASH: digest}
    )
    model_id = str(model.model_id)
    known = False
    try:
        known = plugins.log_model(path, model_id, name) or model_files.log_model(
            client, path, model_id
        )
    finally:
        if not known:
            client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)
            client.delete_logged_model(model_id)
    return model_id if known else None


def find_version(
    client: "MlflowClient", name: str, digest: str, is_ours: "Callable[[ModelVersion], bool]"
) -> "ModelVersion | None":
    """The oldest version of a registered model that was made of the files with this hash.

    Args:
        client: MLflow's client of the store.
        name: The registered model.
        digest: The DVC hash of the files.
        is_ours: Whether a version is of this repository: another may have the same bytes.
    """
    query = f"name = '{name}' AND tags.`{MODEL_HASH}` = '{digest}'"
    found = pages(client.search_model_versions, filter_string=query)
    versions = [version for version in found if is_ours(version)]
    return min(versions, key=lambda version: int(version.version)) if versions else None


def create_version(
    client: "MlflowClient", name: str, digest: str, model_id: str, tags: Mapping[str, str]
) -> "ModelVersion":
    """Register a logged model as a new version of ``name``, with these tags."""
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"models:/{model_id}"
    return client.create_model_version(
        name, source, tags={MODEL_HASH: digest, **tags}, model_id=model_id
    )


def set_tags(client: "MlflowClient", version: "ModelVersion", tags: Mapping[str, str]) -> None:
    """Give a version those of the tags that it has not."""
    for key, value in tags.items():
        if version.tags.get(key) != value:
            client.set_model_version_tag(version.name, version.version, key, value)


def evaluation(version: "ModelVersion", digest: str) -> dict[str, float] | None:
    """The metrics of a version on the dataset with this hash; None if never evaluated on it.

    Raises:
        LineageError: If somebody made something else of its tag.
    """
    tag = evaluation_tag(digest)
    if tag not in version.tags:
        return None
    try:
        return outside.metrics(version.tags[tag])
    except (ValueError, TypeError, RecursionError) as error:
        raise LineageError(
            f"the tag {tag} of models:/{version.name}/{version.version} holds no metrics: register"
            " it again with `lineage sync`, after the tag is deleted."
        ) from error
