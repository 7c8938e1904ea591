"""One attempt at a stage: alone in its working tree, and gone when DVC is gone."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock, Timeout

from lineage.errors import LineageError
from lineage.identity import StageId
from lineage.workspace import Workspace, dvc_process

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE_S = 20.0
"""How long to wait for an earlier attempt, whose DVC was killed, to notice and end."""

WATCH_INTERVAL_S = 1.0
GRACE_S = 15.0
"""How long an attempt whose DVC is gone may take to close its run before it is ended hard."""


class Interrupted(KeyboardInterrupt):
    """The stage was told to stop: by a signal, or because its ``dvc`` is gone."""


@contextmanager
def alone(workspace: Workspace, stage: StageId) -> Iterator["Attempt"]:
    """Hold the stage's lock, end when the ``dvc`` process that started it ends.

    Raises:
        LineageError: If another process runs the same stage in this working tree.
        Interrupted: Inside the block, on SIGTERM or when DVC is gone.
    """
    key = _key(str(stage))
    lock = FileLock(workspace.private / f"{key}.lock")
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout as error:
        raise LineageError(
            f"stage {stage} is already running in {workspace.root}: wait until it ends, or stop"
            " that process."
        ) from error
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, _interrupt)
    watcher = threading.Thread(
        target=_end_with, args=(dvc_process(), ended), daemon=True, name="dvc-watcher"
    )
    watcher.start()
    try:
        yield Attempt(workspace.private, key)
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)
        lock.release()


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    raise Interrupted(f"stopped by signal {signal.Signals(signum).name}")


def _end_with(parent: psutil.Process | None, ended: threading.Event) -> None:
    """Interrupt the main thread once ``parent`` has died, and the process if that fails."""
    if parent is None:
        return
    while not ended.wait(WATCH_INTERVAL_S):
        # is_running() also notices that another process got the number.
        if not parent.is_running() or parent.status() == psutil.STATUS_ZOMBIE:
            # A real signal: it also wakes a main thread that sleeps or waits.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if not ended.wait(GRACE_S):
                os._exit(1)
            return


class Attempt:
    """The notes that an attempt leaves beside its lock, and takes away when it ends."""

    def __init__(self, folder: Path, stage_key: str) -> None:
        self._folder = folder
        self._stage_key = stage_key

    def close_earlier(self, client: "MlflowClient", store: str) -> str | None:
        """Mark the run that a killed attempt left RUNNING in this store as KILLED.

        Returns:
            The id of that run, or None.
        """
        from mlflow.exceptions import MlflowException

        note = self._note(store)
        if not note.is_file():
            return None
        run_id = note.read_text(encoding="utf-8")
        try:
            if client.get_run(run_id).info.status != "RUNNING":
                return None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        client.set_tag(run_id, "error", "the process was killed")
        client.set_terminated(run_id, "KILLED")
        return run_id

    def begin(self, run_id: str, store: str) -> None:
        """Note the run that is about to be worked on."""
        self._note(store).write_text(run_id, encoding="utf-8")

    def end(self, store: str) -> None:
        """The run was closed in order."""
        self._note(store).unlink(missing_ok=True)

    def _note(self, store: str) -> Path:
        return self._folder / f"{self._stage_key}-{_key(store)}.run"


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]
