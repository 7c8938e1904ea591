"""Folders that outlive an attempt: what a stage leaves for the next, should it be stopped."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.identity import Execution, file_key
from lineage.project import Project
from lineage.repository.held import Shelf, hold, note_of
from lineage.repository.items import Observed
from lineage.repository.workspace import Workspace
from lineage.spool.spool import Spool
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
        note_of(self.path).write_text(json.dumps(about), encoding="utf-8")

    def run_to_go_on_with(self, client: "MlflowClient", spool: Spool) -> str | None:
        """The run of the attempt that left it, if it left anything and the run is in this store.

        Where that does not answer, the run is taken to be there.
        """
        from mlflow.exceptions import MlflowException

        about = _about(self.path)
        if self.is_empty or about.get("store") != file_key(self.store):
            return None
        run_id = spool.called(about["run_id"])
        if spool.sender.is_away:
            return run_id
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        is_there = run.info.lifecycle_stage == "active" and run.info.status != "FINISHED"
        return run_id if is_there else None


def shelf_of(workspace: Workspace) -> Shelf:
    """Where they are, also of temporary experiments, whose own folder is gone when they end."""
    return Shelf(workspace.lasting / "kept")


@contextmanager
def kept(project: Project, observed: Observed) -> Iterator[Kept]:
    """Hold the folder of a stage and what it is given for the block.

    The one that an earlier attempt left, else a new one: attempts at the same time have one each.
    It is gone when the block succeeds, or leaves nothing in it.
    """
    workspace, execution = project.workspace, observed.execution
    shelf = shelf_of(workspace)
    held = shelf.take(file_key(f"{execution.stage} {execution.signature}"))
    folder = Kept(held.path, execution, store_uri(workspace))
    try:
        yield folder
        shutil.rmtree(held.path)
        held.path.mkdir()
    finally:
        shelf.give_back(held, is_empty=folder.is_empty)


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
    _shelf: Shelf

    def size_bytes(self) -> int:
        """What it takes of the disk."""
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    def is_held(self) -> bool:
        """Whether an attempt works with it now."""
        return self._shelf.is_held(self.path)

    def remove(self) -> bool:
        """Remove it, unless an attempt works with it now; whether it was."""
        with self._shelf.choosing:
            held = hold(self.path)
            if held:
                held.remove()
            return held is not None


def leftovers(workspace: Workspace) -> list[Leftover]:
    """What attempts left in all working trees that share this one's store, oldest first."""
    found = []
    shelf = shelf_of(workspace)
    for path in shelf.folders():
        about = _about(path)
        stage, signature, run_id = (
            str(about.get(name, "")) for name in ("stage", "signature", "run_id")
        )
        since = about.get("since", path.stat().st_mtime)
        found.append(Leftover(path, stage, signature, run_id, since, shelf))
    return sorted(found, key=lambda each: each.since)


def _about(path: Path) -> dict[str, Any]:
    """What is known of the attempt that left a folder; nothing where the note is damaged."""
    try:
        read = json.loads(note_of(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return read if isinstance(read, dict) else {}
