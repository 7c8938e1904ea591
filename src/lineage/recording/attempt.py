"""One attempt at a stage: alone in its working tree, and gone when DVC is gone."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from lineage.errors import LineageError
from lineage.identity import StageId, file_key
from lineage.repository.processes import dvc_process
from lineage.repository.workspace import Workspace
from lineage.tracking.tags import ERROR

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
    key = file_key(str(stage))
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
        yield Attempt(workspace.lasting, key)
    finally:
        ended.set()
        signal.signal(signal.SIGTERM, before)
        lock.release()


@contextmanager
def held_back() -> Iterator[None]:
    """Keep an interrupt back until the block has ended; a second one ends it at once."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def keep(number: int, frame: FrameType | None) -> None:
        handler = before[signal.Signals(number)]
        if came and callable(handler):
            handler(number, frame)
        came.append(number)

    for number, handler in before.items():
        if callable(handler):  # and not ignored, as in a shell's background
            signal.signal(number, keep)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    raise Interrupted(f"stopped by signal {signal.Signals(signum).name}")


def _end_with(parent: psutil.Process | None, ended: threading.Event) -> None:
    """Interrupt the main thread once ``parent`` has died, and the process if that fails."""
    if parent is None:
        return
    while not ended.wait(WATCH_INTERVAL_S):
        if not _runs(parent):
            # A real signal: it also wakes a main thread that sleeps or waits.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            if not ended.wait(GRACE_S):
                os._exit(1)
            return


def _runs(process: psutil.Process) -> bool:
    try:
        # is_running() also notices that another process got the number.
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Attempt:
    """The notes that an attempt leaves beside its lock, and takes away when it ends."""

    def __init__(self, folder: Path, stage_key: str) -> None:
        self._folder = folder
        self._stage_key = stage_key

    def close_earlier(
        self, client: "MlflowClient", store: str, called: Callable[[str], str]
    ) -> list[str]:
        """Mark the runs that killed attempts left RUNNING in this store as KILLED.

        Args:
            client: MLflow's client of the store.
            store: Its URI.
            called: What the store calls a run that was begun without it.

        Returns:
            The ids of those runs.
        """
        return [run_id for note in self._notes(store) for run_id in _close(client, note, called)]

    def begin(self, run_id: str, store: str) -> None:
        """Note the run that is about to be worked on, and who works on it."""
        self._write(store, run_id, psutil.Process(), {})

    def leave(self, run_id: str, store: str, about: Mapping[str, Any]) -> None:
        """Note that the next command of the stage, which the same ``dvc`` starts, goes on with it.

        Args:
            run_id: The run, which stays open.
            store: That it is in.
            about: What the next command is to know, for JSON.
        """
        self._write(store, run_id, dvc_process() or psutil.Process(), about)

    def left(self, store: str) -> dict[str, Any] | None:
        """What an earlier command of this stage and ``dvc`` left, ``run_id`` with it."""
        dvc = dvc_process()
        for note in self._notes(store):
            read: dict[str, Any] = json.loads(note.read_text(encoding="utf-8"))
            if dvc and read.get("about") and read["pid"] == dvc.pid and _is_still(read):
                note.unlink()
                return {**read["about"], "run_id": read["run_id"]}
        return None

    def _notes(self, store: str) -> Iterator[Path]:
        return self._folder.glob(f"{self._stage_key}-{file_key(store)}-*.run")

    def _write(
        self, store: str, run_id: str, process: psutil.Process, about: Mapping[str, Any]
    ) -> None:
        since = {"run_id": run_id, "pid": process.pid, "since": process.create_time()}
        text = json.dumps({**since, "about": dict(about)})
        self._note(store).write_text(text, encoding="utf-8")

    def end(self, store: str) -> None:
        """The run was closed in order."""
        self._note(store).unlink(missing_ok=True)

    def _note(self, store: str) -> Path:
        return self._folder / f"{self._stage_key}-{file_key(store)}-{os.getpid()}.run"


def _close(client: "MlflowClient", note: Path, called: Callable[[str], str]) -> Iterator[str]:
    from mlflow.exceptions import MlflowException

    attempt = json.loads(note.read_text(encoding="utf-8"))
    if _is_still(attempt):
        return
    run_id = called(attempt["run_id"])
    try:
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_tag(run_id, ERROR, "the process was killed")
            client.set_terminated(run_id, "KILLED")
            yield run_id
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    note.unlink(missing_ok=True)


def _is_still(attempt: Mapping[str, Any]) -> bool:
    """Whether the process that a note names still runs."""
    try:
        process = psutil.Process(attempt["pid"])
        return bool(process.create_time() == attempt["since"]) and _runs(process)
    except psutil.NoSuchProcess:
        return False
