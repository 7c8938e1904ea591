"""What a process records, written down on disk at once and sent to the store behind it."""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.spool.delivery import Delivery, Resolver, called
from lineage.spool.journal import Journal
from lineage.spool.mirror import Mirror
from lineage.spool.records import MOST_AT_ONCE, Record
from lineage.spool.sender import Sender
from lineage.spool.store import SpooledStore
from lineage.tracking.connection import within

if TYPE_CHECKING:
    from mlflow.entities import Run, RunTag

FILES = "files"
"""Folder with what waits of artifacts."""

QUIET_S, ANSWER_S, LONGEST_QUIET_S = 2.0, 5.0, 60.0
"""Without anything that arrived: when the store is asked whether it is there, how long that may
take, and when it is given up though it is."""


class Spool:
    """The spool of one process, or what one left.

    Attributes:
        folder: In which all lies.
        process: Which process it is of.
    """

    def __init__(self, folder: Path, store: SpooledStore, resolver: Resolver) -> None:
        """Go on with what is in a folder, which exists and which nobody else works with."""
        self.folder = folder
        self.process = os.getpid()
        self._store = store
        self._lock = threading.RLock()
        self._journal = Journal(folder)
        self._mirrors: dict[str, Mirror] = {}
        self._files = sum(1 for _ in (folder / FILES).glob("*"))
        self._is_closed = False
        self._delivery = Delivery(folder, store, resolver)
        self.sender = Sender(self)

    @property
    def waiting(self) -> int:
        """How many records wait."""
        return len(self._journal)

    def knows(self, run_id: str) -> bool:
        """Whether the writes to a run are its business."""
        return run_id in self._mirrors

    def run(self, run_id: str) -> "Run":
        """A run that it knows, as it will be."""
        with self._lock:
            return self._mirrors[run_id].run()

    def adopt(self, run: "Run") -> "Run":
        """Take the writes to a run from now on."""
        from lineage.spool import artifacts

        with self._lock:
            self._mirrors.setdefault(run.info.run_id, Mirror(run))
        artifacts.take_over(run.info.artifact_uri, run.info.run_id, self)
        return run

    def look_again(self, run_id: str) -> None:
        """Take note of what another process gave a run, if the store answers."""
        if not self.settle():
            return
        try:
            run = within(ANSWER_S, lambda: self._store.real.get_run(self.called(run_id)))
        except Exception:  # noqa: BLE001 - whatever it is that does not answer
            return
        with self._lock:
            self._mirrors[run_id] = Mirror(run)

    def create(
        self, experiment: str, user: str, start_time: int, tags: "Sequence[RunTag]", name: str
    ) -> "Run":
        """A new run; of the store's own making where that answers, else one that waits."""
        if not self.sender.is_away:
            return self.adopt(self._store.real.create_run(experiment, user, start_time, tags, name))
        run_id = uuid.uuid4().hex
        body: dict[str, Any] = {"experiment": experiment, "user": user, "start": start_time}
        body |= {"name": name, "tags": {tag.key: tag.value for tag in tags}}
        run = self.adopt(unseen(run_id, **body))
        self.put(Record("create", run_id, body), lambda _: None)
        return run

    def put(self, record: Record, change: Callable[[Mirror], object]) -> None:
        """Write a record down, and what it changes of its run.

        Raises:
            MlflowException: If the run does not take it.
        """
        with self._lock:
            change(self._mirrors[record.run_id])
            self._journal.add(record.line())

    def put_files(self, run_id: str, path: Path, place: str | None) -> None:
        """Write down a file among a run's artifacts, or all that is in a folder, as it is now.

        Args:
            run_id: Of which run.
            path: The file or the folder.
            place: The folder among the artifacts that it goes into; None for the uppermost.
        """
        with self._lock:
            self._files += 1
            copies = self.folder / FILES / str(self._files)
        copies.parent.mkdir(exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, copies)
        else:
            copies.mkdir()
            shutil.copyfile(path, copies / path.name)
        body = {"files": copies.relative_to(self.folder).as_posix(), "place": place}
        self.put(Record("artifacts", run_id, body), lambda _: None)

    def put_model(self, run_id: str, body: Any) -> None:
        """Write down that a run made a model, which is to be made in the store."""
        self.put(Record("model", run_id, body), lambda _: None)

    def settle(self) -> bool:
        """Wait until all has arrived, as long as the store is there; whether it has."""
        sender = self.sender
        began = asked = time.monotonic()
        sender.hurry()
        while self.waiting:
            time.sleep(0.02)
            now = time.monotonic()
            if now - max(asked, sender.began, sender.arrived) < QUIET_S:
                continue
            # A large file may take its time, but not a second attempt.
            is_slow = self._delivery.carries_files and not sender.failures
            is_stuck = now - max(began, sender.arrived) > LONGEST_QUIET_S and not is_slow
            if is_stuck or not self._answers():
                return False
            asked = time.monotonic()
            sender.hurry()
        return True

    def _answers(self) -> bool:
        try:
            within(ANSWER_S, lambda: self._store.real.search_experiments(max_results=1))
        except Exception:  # noqa: BLE001 - whatever it is that does not answer
            return False
        return True

    def close(self) -> int:
        """Take nothing more, and send nothing more; how many records wait."""
        from lineage.spool import artifacts

        self.sender.stop()
        with self._lock:
            self._is_closed = True
            for run_id in self._mirrors:
                artifacts.give_back(run_id)
            waiting = self.waiting
            self._journal.close()
        return waiting

    def send_next(self) -> None:
        """Send what waits longest, with what goes in one call with it.

        Raises:
            Exception: Of whatever kind the store's client has, where the store does not answer.
        """
        with self._lock:
            lines = self._journal.first(MOST_AT_ONCE)
        records = [Record.read(line) for line in lines]
        number = self._delivery.bring(records)
        with self._lock:
            if self._is_closed:
                return
            self._journal.drop(number)
        if records[0].kind == "artifacts":
            shutil.rmtree(self.folder / records[0].body["files"])

    def called(self, run_id: str) -> str:
        """What the store calls a run."""
        return called(self.folder, run_id)

    def artifacts_of(self, run_id: str) -> Any:
        """MLflow's own repository of a run's artifacts."""
        return self._delivery.artifacts_of(run_id)


def unseen(run_id: str, experiment: str = "", **known: Any) -> "Run":
    """A run that its store has not seen, or of which nobody can ask it."""
    from mlflow.entities import LifecycleStage, Run, RunData, RunInfo, RunStatus, RunTag

    from lineage.spool.artifacts import UNKNOWN

    info = RunInfo(
        run_id=run_id,
        experiment_id=experiment,
        user_id=known.get("user", ""),
        status=RunStatus.to_string(RunStatus.RUNNING),
        start_time=known.get("start", 0),
        end_time=None,
        lifecycle_stage=LifecycleStage.ACTIVE,
        artifact_uri=f"{UNKNOWN}:/{run_id}",
        run_name=known.get("name"),
    )
    tags = [RunTag(key, value) for key, value in known.get("tags", {}).items()]
    return Run(info, RunData([], [], tags))
