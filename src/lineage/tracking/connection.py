"""The MLflow side: which store runs go to, and that it is there."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from lineage import environment
from lineage.errors import LineageError, bare_url, reason
from lineage.repository.workspace import Workspace
from lineage.tracking.tags import EXPERIMENT_KIND

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_EXPERIMENT = "lineage"
TRAINING_UI = {EXPERIMENT_KIND: "custom_model_development"}
"""Opens the MLflow page in its model-training mode; its default is for language models."""

IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
}
"""For the first call only: MLflow's own settings take four minutes to notice a dead server."""


def store_uri(workspace: Workspace) -> str:
    """``MLFLOW_TRACKING_URI``, or the repository's own sqlite store.

    The path of a sqlite file is made absolute, from the root that a temporary experiment
    belongs to, so that its runs do not vanish with its folder.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{workspace.home / 'mlflow.db'}"
    relative = re.fullmatch(r"sqlite:///(?![/:])(.+)", uri)
    return f"sqlite:///{workspace.home / relative[1]}" if relative else uri


def connect(workspace: Workspace) -> "MlflowClient":
    """Point MLflow at the store and make sure that it answers, within ten seconds.

    Raises:
        LineageError: If it does not.
    """
    environment.send_nothing()
    # A server that goes away later is given a minute, and not four for each call.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # It would print the store's address to standard output, password and all.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    with environment.importing("mlflow"):
        client = _connect(workspace)
    environment.stay_interruptible()
    return client


def _connect(workspace: Workspace) -> "MlflowClient":
    import mlflow
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    # How a fresh store is made is of no interest to who uses it.
    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
    uri = store_uri(workspace)
    # Two processes that first touch a fresh sqlite store at once break it for good.
    lock = FileLock(workspace.home / ".dvc" / "tmp" / "lineage-store.lock")
    try:
        with lock if uri.startswith("sqlite:") else nullcontext(), _environment(IMPATIENT):
            with _environment_as_it_was("MLFLOW_TRACKING_URI"):
                mlflow.set_tracking_uri(uri)
            client = mlflow.MlflowClient()
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        raise LineageError(
            f"no MLflow tracking store answers at {bare_url(uri)}: start that server or"
            f" correct MLFLOW_TRACKING_URI; unset, runs go to mlflow.db here ({reason(error)})."
        ) from error
    return client


def experiment_id(client: "MlflowClient", workspace: Workspace) -> str:
    """The id of the experiment named in ``params.yaml``, made where it is missing."""
    from mlflow.exceptions import MlflowException

    name = experiment_name(workspace)
    existing = client.get_experiment_by_name(name)
    if existing is None:
        artifacts = _artifact_location(workspace)
        try:
            return str(client.create_experiment(name, artifacts, tags=TRAINING_UI))
        except MlflowException as error:
            # Another stage may have made it in this very moment.
            existing = client.get_experiment_by_name(name)
            if existing is None:
                raise LineageError(
                    f"cannot make the MLflow experiment {name!r}: {error.message}"
                ) from error
    if existing.lifecycle_stage == "deleted":
        raise LineageError(
            f"the MLflow experiment {name!r} was deleted: restore it with `mlflow experiments"
            f" restore -x {existing.experiment_id}`, or set another tracking.experiment in"
            " params.yaml."
        )
    return str(existing.experiment_id)


def _artifact_location(workspace: Workspace) -> str | None:
    """Where artifacts go; a server knows by itself.

    For a database, MLflow would take ``mlruns`` in the current directory, which in a
    temporary experiment is gone afterwards.
    """
    if store_uri(workspace).startswith(("http:", "https:", "databricks")):
        return None
    return (workspace.home / "mlartifacts").as_uri()


def experiment_name(workspace: Workspace) -> str:
    """``tracking.experiment`` of ``params.yaml``, read as DVC reads it."""
    from dvc.utils.serialize import load_yaml

    params = workspace.root / "params.yaml"
    values = load_yaml(str(params)) if params.is_file() else {}
    tracking = values.get("tracking") if isinstance(values, dict) else None
    name = tracking.get("experiment") if isinstance(tracking, dict) else None
    if name is not None and not isinstance(name, str):
        raise LineageError(
            f"params.yaml: tracking.experiment is {name!r}; it must be a text, the name of an"
            " MLflow experiment."
        )
    return name or DEFAULT_EXPERIMENT


def all_experiment_ids(client: "MlflowClient") -> list[str]:
    """Every active experiment: a run belongs to its signature, wherever it was logged."""
    return [experiment.experiment_id for experiment in pages(client.search_experiments)]


def pages(search: Any, **query: Any) -> Iterator[Any]:
    """Yield the results of an MLflow search, page after page."""
    token = None
    while True:
        page = search(page_token=token, **query)
        yield from page
        token = page.token
        if not token:
            return


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    with _environment_as_it_was(*values):
        os.environ.update(values)
        yield


@contextmanager
def _environment_as_it_was(*names: str) -> Iterator[None]:
    """Undo what the block does to these variables.

    MLflow puts the store that it was told into the environment, where the next repository
    that this process asks about would find it.
    """
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
