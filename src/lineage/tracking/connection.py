"""The MLflow side: which store runs go to, and that it is there."""

import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from filelock import FileLock

from lineage import environment
from lineage.errors import LineageError, bare_url, foreign, reason
from lineage.repository.workspace import Workspace
from lineage.tracking.tags import EXPERIMENT_KIND

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from lineage.tracking.no_store import NoStore

STORE_FILE = "mlflow.db"
DEFAULT_EXPERIMENT = "lineage"
TRAINING_UI = {EXPERIMENT_KIND: "custom_model_development"}
"""Opens the MLflow page in its model-training mode; its default is for language models."""

IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
}
"""For the first call only: MLflow's own settings take four minutes to notice a dead server."""

PATIENCE_S = 9.0
"""How long a server may take for its first answers."""

RETRIES = 4
"""How often a database is tried to be opened, at first."""

NO_ANSWERS = (OSError, ImportError, ValueError, TypeError, AttributeError, KeyError)
"""What is raised, beside what libraries have of their own, where there is no driver or network,
and by MLflow's client of an answer that is no JSON object."""

T = TypeVar("T")


def store_uri(workspace: Workspace) -> str:
    """``MLFLOW_TRACKING_URI``, or the repository's own sqlite store.

    The path of a sqlite file is made absolute, from the root that a temporary experiment
    belongs to, so that its runs do not vanish with its folder.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{STORE_FILE}"
    relative = re.fullmatch(r"sqlite:///(?![/:])(.+)", uri)
    return f"{_sqlite(workspace.home)}/{relative[1]}" if relative else uri


def _sqlite(folder: Path) -> str:
    """The beginning of the URI of a sqlite file in a folder.

    SQLAlchemy decodes ``%`` and ends the path at ``?``. MLflow does neither, and makes the folder
    of that very name, but only of URIs that do not name the driver.
    """
    path = folder.as_posix()
    if "%" in path or "?" in path:
        return f"sqlite+pysqlite:///{quote(path)}"
    return f"sqlite:///{path}"


def is_there(workspace: Workspace) -> bool:
    """Whether there is a store to ask: a sqlite file is made by the first run, servers are there.

    Raises:
        LineageError: If the URI of a sqlite file does not lead where it seems to.
    """
    uri = store_uri(workspace)
    if not is_sqlite(uri):
        return True
    path = _file_of(uri)
    return path is None or (path.is_file() and path.stat().st_size > 0)


def is_sqlite(uri: str) -> bool:
    """Whether a store is a file."""
    return re.match(r"sqlite(\+\w+)?:", uri) is not None


def _file_of(uri: str) -> Path | None:
    """The file of a sqlite store; None for one in memory.

    Raises:
        LineageError: If the URI does not lead where it seems to.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    written = uri.partition(":///")[2]
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise LineageError(
            f"MLFLOW_TRACKING_URI is no URI of a database: {bare_url(uri)} ({reason(error)})."
        ) from error
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        return None
    path = Path(url.database)
    is_cut = "?" in written and not url.query
    if is_cut or (str(path) != written.partition("?")[0] and not path.parent.is_dir()):
        raise LineageError(
            f"the URI {uri} leads to the file {path}: in the path of a sqlite URI write %25 for"
            " each % and %3F for each ?, or leave MLFLOW_TRACKING_URI unset for mlflow.db here."
        )
    return path


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


def unasked(workspace: Workspace) -> "MlflowClient":
    """Point MLflow at a store that does not answer, for what may wait until it does."""
    import mlflow

    with _environment_as_it_was("MLFLOW_TRACKING_URI"):
        mlflow.set_tracking_uri(store_uri(workspace))
    environment.stay_interruptible()
    return mlflow.MlflowClient()


def _connect(workspace: Workspace) -> "MlflowClient":
    import mlflow

    # How a fresh store is made is of no interest to who uses it.
    logging.getLogger("mlflow.store.db").setLevel(logging.WARNING)
    uri = store_uri(workspace)
    path = _file_of(uri) if is_sqlite(uri) else None

    def ask() -> mlflow.MlflowClient:
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        return client

    try:
        if path is not None and not is_there(workspace):
            _make(workspace, uri, path)
        with _environment(IMPATIENT), _few_retries():
            with _environment_as_it_was("MLFLOW_TRACKING_URI"):
                mlflow.set_tracking_uri(uri)
            # Making a fresh sqlite store may take longer on a busy machine.
            client = ask() if is_sqlite(uri) else within(PATIENCE_S, ask)
    # What answers and is no MLflow, answers with anything.
    except foreign() + NO_ANSWERS as error:
        raise LineageError(
            f"no MLflow tracking store answers at {bare_url(uri)}: start that server or"
            f" correct MLFLOW_TRACKING_URI; unset, runs go to mlflow.db here ({reason(error)})."
        ) from error
    return client


def _make(workspace: Workspace, uri: str, path: Path) -> None:
    """Make a fresh sqlite store, as a whole or not at all.

    Whoever is interrupted while it is made, or makes it together with another, breaks it for good.
    """
    import mlflow

    name, _, query = uri.partition("?")
    begun = path.with_name(f"{path.name}.partial")
    with FileLock(workspace.home / ".dvc" / "tmp" / "lineage-store.lock"):
        if is_there(workspace):
            return
        begun.unlink(missing_ok=True)
        made = f"{name}.partial{'?' if query else ''}{query}"
        client = mlflow.MlflowClient(made, registry_uri=made)
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        begun.replace(path)


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
    """``tracking.experiment`` of ``params.yaml``."""
    name = _param(workspace, "experiment")
    if name is not None and not isinstance(name, str):
        raise LineageError(
            f"params.yaml: tracking.experiment is {name!r}; it must be a text, the name of an"
            " MLflow experiment."
        )
    return name or DEFAULT_EXPERIMENT


def may_be_away(workspace: Workspace) -> bool:
    """Whether a stage may begin without its store: ``tracking.offline`` of ``params.yaml``.

    A store that is a file is made, or is wrong.
    """
    said = _param(workspace, "offline")
    if said not in (None, "allow", "refuse"):
        raise LineageError(
            f"params.yaml: tracking.offline is {said!r}; it must be allow or refuse: whether a"
            " stage may begin while the tracking store does not answer."
        )
    return said == "allow" and not is_sqlite(store_uri(workspace))


def _param(workspace: Workspace, name: str) -> Any:
    """What ``params.yaml``, read as DVC reads it, has under ``tracking``; None for nothing."""
    from dvc.utils.serialize import load_yaml

    params = workspace.root / "params.yaml"
    values = load_yaml(str(params)) if params.is_file() else {}
    tracking = values.get("tracking") if isinstance(values, dict) else None
    return tracking.get(name) if isinstance(tracking, dict) else None


def all_experiment_ids(client: "MlflowClient | NoStore") -> list[str]:
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


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What a question comes to, whose timeouts a server that drips its answer never reaches."""
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised below, in the thread that asks
            errors.append(error)

    thread = Thread(target=run, daemon=True, name="first-question")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no whole answer within {seconds:.0f} s")
    return answers[0]


@contextmanager
def _few_retries() -> Iterator[None]:
    """MLflow tries to open a database for 100 s."""
    from mlflow.store.db import utils

    before = utils.MAX_RETRY_COUNT
    utils.MAX_RETRY_COUNT = RETRIES
    try:
        yield
    finally:
        utils.MAX_RETRY_COUNT = before


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
