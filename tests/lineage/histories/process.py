"""DVC and its stages in one process: a command's start costs seconds, and a history has many.

What is recorded, and everything that is asked, is the real code on real git, DVC and MLflow.
"""

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

TICK_S = 0.012
"""The times of files count in steps of the kernel: what is to be later waits for so long."""

Body = Callable[[str, float], None]
"""Does what a command says; when it began is the second argument."""


class Clock:
    """The time for all that is written down: it can be put on, so that no commit is as old as the
    next thing that happens."""

    def __init__(self) -> None:
        self._real = time.time
        self._ahead_s = 0.0

    def __call__(self) -> float:
        return self._real() + self._ahead_s

    def for_commit(self) -> int:
        """A second for a commit: later than all before it, earlier than all after it."""
        second = int(self()) + 1
        self._ahead_s += second - self() + 1
        return second


def as_date(clock: Clock) -> type[datetime]:
    """Python's dates, by that clock."""

    class Date(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Date":
            return cls.fromtimestamp(clock(), tz or UTC)

    return Date


@contextmanager
def in_one_process(clock: Clock, body: Body, sites: Path) -> Iterator[None]:
    """Let DVC run the commands of stages as calls of a function; call it in its root.

    Args:
        clock: What time it is.
        body: What is called.
        sites: Where DVC keeps what it knows of files.
    """
    import mlflow
    from dvc.stage import run
    from dvc.stage.exceptions import StageCmdFailedError

    from lineage import environment, plugins
    from lineage.recording import recorded, sayings
    from lineage.repository import commits, stage_reader

    def call(_executable: str | None, command: str, **how: Any) -> None:
        began = clock._real()
        given = {key: how["env"][key] for key in ("DVC_STAGE", "DVC_ROOT")}
        with (
            folder(how["cwd"]),
            mock.patch.dict(os.environ, given),
            mock.patch.object(recorded, "command_began", lambda: began),
            mock.patch.object(stage_reader, "_folder_of_dvc", lambda: Path(given["DVC_ROOT"])),
        ):
            try:
                body(command, began)
            except (FailedError, KeyboardInterrupt) as error:
                raise StageCmdFailedError(command, 1) from error
            except Exception as error:
                raise UnexpectedError from error

    date = as_date(clock)
    quieten()
    with (
        mock.patch.object(time, "time", clock),
        mock.patch.object(sayings, "datetime", date),
        mock.patch.object(commits, "datetime", date),
        mock.patch.object(run, "_run", call),
        mock.patch.object(environment, "describe", lambda _root: {}),
        mock.patch.object(recorded, "measured", lambda *_, **__: nullcontext()),
        mock.patch.object(plugins, "_plugins", lambda _group: ()),
        mock.patch.dict(
            os.environ,
            {
                "DVC_NO_ANALYTICS": "1",
                "DVC_SITE_CACHE_DIR": str(sites),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
                "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            },
        ),
    ):
        before = mlflow.get_tracking_uri()
        try:
            yield
        finally:
            mlflow.set_tracking_uri(before)
            close_stores()


def quieten() -> None:
    """What DVC, MLflow and stages tell people is of no interest here."""
    import dvc.repo  # which sets its own up

    assert dvc.repo
    for name in ("dvc", "dvc_data", "dvc_objects", "mlflow", "mlflow.store.db", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("lineage", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def close_stores() -> None:
    """MLflow keeps every database open that it ever saw."""
    from mlflow.store.model_registry import sqlalchemy_store as registry
    from mlflow.store.tracking import sqlalchemy_store as tracking

    for store in (tracking.SqlAlchemyStore, registry.SqlAlchemyStore):
        for engine in store._engine_map.values():
            engine.dispose()
        store._engine_map.clear()


class FailedError(Exception):
    """A command that was to go wrong."""


class UnexpectedError(BaseException):
    """A command that was not, past what DVC catches."""


@contextmanager
def folder(path: str | Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


def md5(place: Path) -> str:
    """The DVC hash of a file or of a folder of files."""
    if place.is_file():
        return hashlib.md5(place.read_bytes(), usedforsecurity=False).hexdigest()
    listing = [
        {"md5": md5(file), "relpath": file.relative_to(place).as_posix()}
        for file in sorted(place.rglob("*"))
        if file.is_file()
    ]
    text = json.dumps(listing, sort_keys=True).encode()
    return f"{hashlib.md5(text, usedforsecurity=False).hexdigest()}.dir"
