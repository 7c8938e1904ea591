"""Bringing records to a store that answers."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lineage.errors import reason
from lineage.spool.records import CALLS, Record, merged
from lineage.spool.sender import is_refusal
from lineage.spool.store import SpooledStore
from lineage.tracking.tags import WAITED

log = logging.getLogger("lineage")

TRIES = 3
"""How often a record is sent that may be what the store does not take, before it is left out."""


@dataclass(frozen=True)
class Resolver:
    """What is not known, or cannot be made, before the store answers.

    Attributes:
        experiment: The id of the experiment for runs.
        model_id: What a model is called in the store, from what `Record` has of it; None for one
            that the store cannot have.
        make_model: Makes the model of a run, both as `Record` has them, the run as the store has.
    """

    experiment: Callable[[], str]
    model_id: Callable[[str], str | None]
    make_model: Callable[[str, Any], None]


class Delivery:
    """Brings records to a store, those that it does not take aside.

    Attributes:
        carries_files: Whether what is on its way now may take long.
    """

    def __init__(self, folder: Path, store: SpooledStore, resolver: Resolver) -> None:
        """Make it of the folder of a spool, and where that goes."""
        self.carries_files = False
        self._folder = folder
        self._store = store
        self._resolver = resolver
        self._tries = 0
        self._places: dict[str, str] = {}

    def bring(self, records: Sequence[Record]) -> int:
        """Bring the first of some records, with those that go in one call with it.

        Returns:
            How many these were.

        Raises:
            Exception: Of whatever kind the store's client has, where the store does not answer.
        """
        whole, number = merged(records)
        self._bring(whole, records[:number])
        self._tries = 0
        return number

    def _bring(self, whole: Record, records: Sequence[Record]) -> None:
        """Bring what some records were merged to, or as many of them as the store takes."""
        try:
            self._send(whole)
        except Exception as error:
            self._tries += 1
            if not is_refusal(error, in_doubt=self._tries >= TRIES):
                raise
            half = len(records) // 2
            if half:
                for part in (records[:half], records[half:]):
                    self._bring(merged(part)[0], part)
            else:
                self._put_aside(whole, error)

    def _send(self, record: Record) -> None:
        self.carries_files = record.kind in ("artifacts", "model")
        run_id = called(self._folder, record.run_id)
        match record.kind:
            case "create":
                self._create(record)
            case "artifacts":
                files, place = self._folder / record.body["files"], record.body["place"]
                self.artifacts_of(record.run_id).log_artifacts(str(files), place)
            case "model":
                self._resolver.make_model(run_id, record.body)
            case _:
                CALLS[record.kind](self._store.real, record, run_id, self._resolver.model_id)

    def _create(self, record: Record) -> None:
        """Create a run that waited, unless that was done and only the answer was lost."""
        from mlflow.entities import RunTag, ViewType

        store, body = self._store.real, record.body
        experiment = body["experiment"] or self._resolver.experiment()
        mark = f"tags.`{WAITED}` = '{record.run_id}'"
        found = store.search_runs([experiment], mark, ViewType.ALL, max_results=1)
        if found:
            run = found[0]
        else:
            tags = {**body["tags"], WAITED: record.run_id}
            listed = [RunTag(key, value) for key, value in tags.items()]
            run = store.create_run(experiment, body["user"], body["start"], listed, body["name"])
        _name_file(self._folder, record.run_id).write_text(run.info.run_id, encoding="utf-8")

    def artifacts_of(self, run_id: str) -> Any:
        """MLflow's own repository of a run's artifacts."""
        from lineage.spool import artifacts

        if run_id not in self._places:
            info = self._store.real.get_run(called(self._folder, run_id)).info
            self._places[run_id] = info.artifact_uri
        return artifacts.repository_at(self._places[run_id], self._store.uri)

    def _put_aside(self, record: Record, error: Exception) -> None:
        path = self._folder.parent.parent / "refused.jsonl"
        told = {"kind": record.kind, "run": record.run_id, "why": reason(error)}
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**told, "body": record.body}) + "\n")
        log.warning(
            "the tracking store does not take a record of run %s (%s): it is left out, and kept in"
            " %s",
            *(record.run_id, reason(error), path),
        )


def called(folder: Path, run_id: str) -> str:
    """What the store calls a run that waited, as far as the store has it.

    Args:
        folder: Of any spool of that store.
        run_id: As it was called meanwhile.
    """
    name = _name_file(folder, run_id)
    return name.read_text(encoding="utf-8") if name.is_file() else run_id


def _name_file(folder: Path, run_id: str) -> Path:
    return folder.parent / f"{run_id}.run"
