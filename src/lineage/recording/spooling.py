"""What stages record, over a spool to a store that may be away."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from lineage.errors import AwayError, LineageError, foreign, reason
from lineage.identity import DataId
from lineage.project import Project
from lineage.recording.backfill import ensure_recorded_model
from lineage.repository.items import Item
from lineage.spool import waiting
from lineage.spool.delivery import Resolver
from lineage.spool.sender import is_refusal
from lineage.spool.spool import Spool
from lineage.spool.store import SpooledStore, installed
from lineage.storage.borrow import exact
from lineage.tracking import connection, models

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger("lineage")

_UNKNOWN_MODEL = "lineage-waiting:"
"""Begins what a model is called that nobody could ask the store for."""


@contextmanager
def spooled(project: Project, stage: str) -> Iterator[Spool]:
    """Let what the block records wait on disk while the store does not take it.

    What earlier stages left is sent first. Where ``tracking.offline`` allows it, the store need
    not be there at all. At the end, all that it takes is sent; what is left is told of.

    Raises:
        LineageError: If the store does not answer, and has to.
    """
    store, is_there = _store(project)
    resolver = _resolver(project)
    if is_there:
        send_waiting(project)
    shelf = waiting.shelf_of(project.workspace)
    held = waiting.take(project.workspace, store.uri)
    spool = Spool(held.path, store, resolver)
    spool.sender.is_away = not is_there
    store.spool = spool
    spool.sender.start()
    try:
        yield spool
    finally:
        try:
            spool.settle()
        finally:
            left = spool.close()
            store.spool = None
            shelf.give_back(held, is_empty=not left)
            if left:
                log.warning(
                    "%d records of %s wait in %s, since the tracking store does not take them:"
                    " `lineage sync` sends them, and so does the next stage",
                    *(left, stage, held.path),
                )


def send_waiting(project: Project) -> int:
    """Send what stages of this repository left for the store, as far as it takes that.

    Returns:
        How many records that were; none where the store stopped answering.
    """
    # The client comes first: it makes a store that is not there yet, whole or not at all.
    store, workspace = installed(project.client.tracking_uri), project.workspace
    try:
        return waiting.send_waiting(workspace, store, _resolver(project))
    except foreign() + connection.NO_ANSWERS as error:
        log.warning(
            "%d records of earlier stages wait on, since the tracking store does not take them"
            " (%s)",
            *(waiting.waiting(workspace, store.uri), reason(error)),
        )
        return 0


def _store(project: Project) -> tuple[SpooledStore, bool]:
    """The store of this process, and whether it answers."""
    uri = connection.store_uri(project.workspace)
    try:
        client = project.client
    except LineageError as error:
        if not connection.may_be_away(project.workspace):
            raise
        log.warning("%s The stage goes on, and what it records waits (tracking.offline).", error)
        store = installed(uri, is_there=False)
        project.work_with(connection.unasked(project.workspace))
        return store, False
    return installed(client.tracking_uri), True


def ids_of_models(project: Project, spool: Spool, deps: "tuple[Item, ...]") -> dict[str, str]:
    """Make sure that MLflow has the models that a stage reads.

    It has none where their stage did not run against this store. That must happen before
    the stage's own run is active: MLflow would call the model an output of that.

    Returns:
        DVC hash -> id of the logged model, or what stands for it until the store answers.
    """
    found = {}
    for item in deps:
        if item.kind == "model":
            if spool.sender.is_away:
                model_id: str | None = f"{_UNKNOWN_MODEL}{item.hash}:{item.path}"
            else:
                model_id = ensure_recorded_model(project, item.id)
            if model_id is not None:
                found[item.hash] = model_id
    return found


def record_model(client: "MlflowClient", spool: Spool, run_id: str, item: Item) -> None:
    """Make sure of the model that a run made, at once where the store answers, else later."""
    if spool.settle():
        experiment = client.get_run(run_id).info.experiment_id
        try:
            models.ensure_model(client, experiment, run_id, item.location, item.hash)
        except foreign() + connection.NO_ANSWERS as error:
            if is_refusal(error):
                raise
            log.warning("the model %s is recorded later (%s)", item.path, reason(error))
        else:
            return
    spool.put_model(run_id, {"path": item.path, "hash": item.hash})


@contextmanager
def answering(project: Project, what: str) -> Iterator[None]:
    """Do in a running stage what only the store can do; elsewhere this changes nothing.

    Args:
        project: Whose store.
        what: Is done, at the beginning of a sentence.

    Raises:
        AwayError: Where the store does not answer.
    """
    spool = installed(project.client.tracking_uri).spool
    if spool is None:
        yield
        return
    sentence = f"{what} waits, since the tracking store does not answer: `lineage sync` does it."
    if not spool.settle():
        raise AwayError(sentence)
    try:
        yield
    except foreign() + connection.NO_ANSWERS as error:
        if is_refusal(error):
            raise
        raise AwayError(f"{sentence} ({reason(error)})") from error


def _resolver(project: Project) -> Resolver:
    def experiment() -> str:
        return connection.experiment_id(project.client, project.workspace)

    def model_id(name: str) -> str | None:
        if not name.startswith(_UNKNOWN_MODEL):
            return name
        digest, _, path = name.removeprefix(_UNKNOWN_MODEL).partition(":")
        project.forget_store()
        return ensure_recorded_model(project, DataId(path, digest))

    def make_model(run_id: str, body: Any) -> None:
        client, data = project.client, DataId(body["path"], body["hash"])
        with exact(project.workspace, data) as path:
            experiment_id = client.get_run(run_id).info.experiment_id
            models.ensure_model(client, experiment_id, run_id, path, data.hash)

    return Resolver(experiment, model_id, make_model)
