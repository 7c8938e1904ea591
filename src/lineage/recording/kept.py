"""Folders that outlive an attempt: what a stage leaves for the next, should it be stopped."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import BaseFileLock, FileLock, Timeout

from lineage.identity import Execution
from lineage.project import Project
from lineage.recording.attempt import file_key
from lineage.repository.items import Observed
from lineage.repository.workspace import Workspace
from lineage.tracking.connection import store_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Kept:
    """A folder for what one stage, given one thing, leaves for its next attempt.

    Attributes:
        path: The folder, in which the stage writes as it likes.
        execution: What the stage is given.
        store: The tracking store of this attempt.
    """

    path: Path
    execution: Execution
    store: str

    @property
    def is_empty(self) -> bool:
        """Whether nothing was left."""
        return not any(self.path.iterdir())

    def begin(self, run_id: str) -> None:
        """Note which run works with it now."""
        about = {
            "stage": str(self.execution.stage),
            "signature": self.execution.signature,
            "run_id": run_id,
            "store": file_key(self.store),
            "since": time.time(),
        }
        _note(self.path).write_text(json.dumps(about), encoding="utf-8")

    def run_to_go_on_with(self, client: "MlflowClient") -> str | None:
        """The run of the attempt that left it, if it left anything and the run is in this store."""
        from mlflow.exceptions import MlflowException

        about = _about(self.path)
        if self.is_empty or about.get("store") != file_key(self.store):
            return None
        try:
            run = client.get_run(about["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        is_there = run.info.lifecycle_stage == "active" and run.info.status != "FINISHED"
        return str(run.info.run_id) if is_there else None


def folder_of(workspace: Workspace) -> Path:
    """Where they are, also of temporary experiments, whose own folder is gone when they end."""
    return workspace.lasting / "kept"


@contextmanager
def kept(project: Project, observed: Observed) -> Iterator[Kept]:
    """Hold the folder of a stage and what it is given for the block.

    The one that an earlier attempt left, else a new one: attempts at the same time have one each.
    It is gone when the block succeeds, or leaves nothing in it.
    """
    workspace, execution = project.workspace, observed.execution
    base = folder_of(workspace) / file_key(f"{execution.stage} {execution.signature}")
    choosing = _alone(workspace)
    with choosing:
        base.mkdir(exist_ok=True)
        path, lock = _free(base)
        path.mkdir(exist_ok=True)
    folder = Kept(path, execution, store_uri(workspace))
    try:
        yield folder
        shutil.rmtree(path)
        path.mkdir()
    finally:
        with choosing:
            if folder.is_empty:
                _remove(path, lock)
            else:
                lock.release()


@dataclass(frozen=True)
class Leftover:
    """What an attempt left that was stopped, or works with.

    Attributes:
        path: Its folder.
        stage: Of which it was an attempt; empty, as the others, where the note of it is damaged.
        signature: What the stage was given.
        run_id: Its MLflow run.
        since: When it began, seconds since 1970.
    """

    path: Path
    stage: str
    signature: str
    run_id: str
    since: float
    _choosing: BaseFileLock

    def size_bytes(self) -> int:
        """What it takes of the disk."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def is_held(self) -> bool:
        """Whether an attempt works with it now."""
        with self._choosing:
            lock = _held(self.path)
            if lock:
                lock.release()
            return lock is None

    def remove(self) -> bool:
        """Remove it, unless an attempt works with it now; whether it was."""
        with self._choosing:
            lock = _held(self.path)
            if lock is None:
                return False
            _remove(self.path, lock)
            return True


def leftovers(workspace: Workspace) -> list[Leftover]:
    """What attempts left in all working trees that share this one's store, oldest first."""
    found = []
    for path in folder_of(workspace).glob("*/*"):
        if path.is_dir():
            about = _about(path)
            stage, signature, run_id = (
                str(about.get(name, "")) for name in ("stage", "signature", "run_id")
            )
            since = about.get("since", path.stat().st_mtime)
            found.append(Leftover(path, stage, signature, run_id, since, _alone(workspace)))
    return sorted(found, key=lambda each: each.since)


def _alone(workspace: Workspace) -> FileLock:
    """Hold what nobody else chooses or takes away folders under."""
    folder = folder_of(workspace)
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def _free(base: Path) -> tuple[Path, FileLock]:
    """A folder that nobody holds, one that is there if possible; and its lock, held."""
    there = sorted(path for path in base.iterdir() if path.is_dir())
    new = (base / str(number) for number in count())
    for path in (*there, next(path for path in new if path not in there)):
        if lock := _held(path):
            return path, lock
    raise AssertionError(f"{path} is held by nobody who has it")


def _held(path: Path) -> FileLock | None:
    """The lock of a folder, held now; None where another process holds it."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _remove(path: Path, lock: FileLock) -> None:
    """Leave nothing of a folder, whose lock is held and nobody chooses among them."""
    shutil.rmtree(path)
    _note(path).unlink(missing_ok=True)
    Path(lock.lock_file).unlink()
    lock.release()
    with suppress(OSError):  # others are beside it
        path.parent.rmdir()


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _about(path: Path) -> dict[str, Any]:
    """What is known of the attempt that left a folder; nothing where the note is damaged."""
    try:
        read = json.loads(_note(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return read if isinstance(read, dict) else {}
