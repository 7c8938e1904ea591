"""Rows of MLflow's tables, one method a thing that they tell of."""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.tracked_project.artifacts import Artifacts
from benchmarks.tracked_project.outcome import Outcome, split_facts
from benchmarks.tracked_project.pipeline import RAW, VAL
from benchmarks.tracked_project.repository import ORIGIN
from lineage.plugins import Facts
from lineage.repository.items import Item
from lineage.tracking.tags import MODEL_HASH

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

LOSS_STEPS = 20
STEP_MS = 40_000
STEPS_BETWEEN = 36
COLUMNS = (
    ("image_id", "long"),
    ("file_name", "string"),
    ("width", "integer"),
    ("height", "integer"),
    ("image", "string"),
    ("objects", "string"),
)


class Rows:
    """What waits to be inserted; all rows of a table name the same columns."""

    def __init__(self) -> None:
        self._waiting: dict[Table, list[dict[str, Any]]] = defaultdict(list)

    def add(self, model: Any, **values: Any) -> None:
        """Have a row wait."""
        self._waiting[model.__table__].append(values)

    def insert(self, connection: "Connection") -> None:
        """Write what waits."""
        for table, rows in self._waiting.items():
            connection.execute(table.insert(), rows)
        self._waiting.clear()


@dataclass(frozen=True)
class Model:
    """A logged model, and the run that it came from first."""

    id: str
    run_id: str
    commit: str
    train: Outcome


class Tables:
    """Adds the rows of a single thing.

    Args:
        rows: Where rows wait.
        experiment: The id of the experiment that all belong to.
        artifacts: Of the runs.
        rng: For ids.
    """

    def __init__(
        self, rows: Rows, experiment: int, artifacts: Artifacts, rng: random.Random
    ) -> None:
        from mlflow.store.tracking.dbmodels import models as tracked

        self._tracked = tracked
        self._rows = rows
        self._experiment = experiment
        self._artifacts = artifacts
        self._rng = rng

    def new_id(self) -> str:
        """An id as MLflow makes them."""
        return f"{self._rng.getrandbits(128):032x}"

    def add_dataset(self, item: Item, writer: Outcome) -> str:
        """A dataset version; returns its id."""
        from lineage.tracking.dataset import DVCDataset

        known = Facts()
        if item.kind == "dataset" and item.path != RAW:
            columns = [{"name": name, "type": kind} for name, kind in COLUMNS]
            known = Facts(split_facts(item.path, writer), columns)
        dataset = DVCDataset.of(item, known, ORIGIN)._to_mlflow_entity()
        dataset_id = self.new_id()
        self._rows.add(
            self._tracked.SqlDataset,
            dataset_uuid=dataset_id,
            experiment_id=self._experiment,
            name=dataset.name,
            digest=dataset.digest,
            dataset_source_type=dataset.source_type,
            dataset_source=dataset.source,
            dataset_schema=dataset.schema,
            dataset_profile=dataset.profile,
        )
        return dataset_id

    def add_model(self, model: Model, item: Item, time_ms: int) -> None:
        """A logged model that a run made."""
        from mlflow.entities import LoggedModelStatus

        self._rows.add(
            self._tracked.SqlLoggedModel,
            model_id=model.id,
            experiment_id=self._experiment,
            name=item.name,
            artifact_location=self.artifacts_of(model),
            creation_timestamp_ms=time_ms - 1000,
            last_updated_timestamp_ms=time_ms,
            status=LoggedModelStatus.READY.to_int(),
            source_run_id=model.run_id,
        )
        self.tag_model(model, MODEL_HASH, item.hash)

    def artifacts_of(self, model: Model) -> str:
        """Where the artifacts of a logged model are."""
        return f"{self._artifacts.uri}/models/{model.id}/artifacts"

    def tag_model(self, model: Model, key: str, value: str) -> None:
        """A tag of a logged model."""
        self._rows.add(
            self._tracked.SqlLoggedModelTag,
            model_id=model.id,
            experiment_id=self._experiment,
            tag_key=key,
            tag_value=value,
        )

    def link(self, source: str, source_id: str, target: str, target_id: str) -> str:
        """What read or wrote what; returns the id of the link."""
        link = self.new_id()
        self._rows.add(
            self._tracked.SqlInput,
            input_uuid=link,
            source_type=source,
            source_id=source_id,
            destination_type=target,
            destination_id=target_id,
            step=0,
        )
        return link

    def add_losses(self, run_id: str, last: float, start_ms: int) -> None:
        """The loss on its way down to its last value."""
        for number in range(1, LOSS_STEPS):
            self._rows.add(
                self._tracked.SqlMetric,
                run_uuid=run_id,
                key="train/loss",
                value=last * LOSS_STEPS / number,
                timestamp=start_ms + number * STEP_MS,
                step=number * STEPS_BETWEEN,
            )

    def add_points(
        self, run_id: str, metrics: Mapping[str, float], time_ms: int, step: int
    ) -> None:
        """The last points of some metrics of a run."""
        for key, value in metrics.items():
            point = {"key": key, "value": value, "timestamp": time_ms, "step": step}
            self._rows.add(self._tracked.SqlMetric, run_uuid=run_id, **point)
            self._rows.add(self._tracked.SqlLatestMetric, run_uuid=run_id, **point)

    def add_model_points(
        self,
        model: Model,
        run_id: str,
        metrics: Mapping[str, float],
        time_ms: int,
        dataset: tuple[str, str] | None = None,
    ) -> None:
        """The metrics of a model, on a version of `VAL` with this id and hash if on any."""
        dataset_id, digest = dataset or (None, None)
        for key, value in metrics.items():
            self._rows.add(
                self._tracked.SqlLoggedModelMetric,
                model_id=model.id,
                metric_name=key,
                metric_timestamp_ms=time_ms,
                metric_step=0,
                metric_value=value,
                experiment_id=self._experiment,
                run_id=run_id,
                dataset_uuid=dataset_id,
                dataset_name=VAL if dataset else None,
                dataset_digest=digest,
            )
