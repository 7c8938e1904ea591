"""A run as it will be once all that waits has arrived."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import (
        DatasetInput,
        LoggedModelInput,
        LoggedModelOutput,
        Metric,
        Param,
        Run,
        RunInfo,
        RunTag,
    )


class Mirror:
    """A run of which this process knows all that it gave it, before the store does.

    Not safe for threads.
    """

    def __init__(self, run: "Run") -> None:
        """Begin with the run as the store has it."""
        from mlflow.entities import Metric

        self.info: RunInfo = run.info
        # `RunData.metrics` has values alone.
        latest = (Metric.from_proto(each) for each in run.data.to_proto().metrics)
        self._metrics = {each.key: each for each in latest}
        self._params = dict(run.data.params)
        self._tags = dict(run.data.tags)
        self._datasets = list(run.inputs.dataset_inputs if run.inputs else ())
        self._read = list(run.inputs.model_inputs or () if run.inputs else ())
        self._made = list(run.outputs.model_outputs if run.outputs else ())

    def run(self) -> "Run":
        """The run, as the store would give it."""
        from mlflow.entities import Param, Run, RunData, RunInputs, RunOutputs, RunTag

        return Run(
            self.info,
            RunData(
                list(self._metrics.values()),
                [Param(key, value) for key, value in self._params.items()],
                [RunTag(key, value) for key, value in self._tags.items()],
            ),
            RunInputs(list(self._datasets), list(self._read)),
            RunOutputs(list(self._made)),
        )

    def take(
        self, metrics: Iterable["Metric"], params: Iterable["Param"], tags: Iterable["RunTag"]
    ) -> None:
        """Metrics, params and tags of it.

        Raises:
            MlflowException: If a param has another value already, as stores do.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        given = {each.key: each.value for each in params}
        for key, value in given.items():
            if self._params.get(key, value) != value:
                raise MlflowException(
                    f"Changing param values is not allowed. Param with key='{key}' was already"
                    f" logged with value='{self._params[key]}' for run ID='{self.info.run_id}'."
                    f" Attempted logging new value '{value}'.",
                    INVALID_PARAMETER_VALUE,
                )
        self._params |= given
        self._tags |= {each.key: each.value for each in tags}
        for metric in metrics:
            latest = self._metrics.get(metric.key)
            if latest is None or _rank(metric) >= _rank(latest):
                self._metrics[metric.key] = metric

    def untag(self, key: str) -> None:
        """Take a tag away.

        Raises:
            MlflowException: If it has none of this name.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

        if key not in self._tags:
            raise MlflowException(
                f"No tag with name: {key} in run with id {self.info.run_id}",
                RESOURCE_DOES_NOT_EXIST,
            )
        del self._tags[key]

    def update(self, status: Any, end_time: int | None, name: str | None) -> "RunInfo":
        """Another status, end or name; None: as it is."""
        from mlflow.entities import RunTag
        from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

        self.info = self.info._copy_with_overrides(status, end_time, None, name)  # type: ignore[no-untyped-call]
        if name:
            self.take([], [], [RunTag(MLFLOW_RUN_NAME, name)])
        return self.info

    def link(
        self,
        datasets: Iterable["DatasetInput"] = (),
        read: Iterable["LoggedModelInput"] = (),
        made: Iterable["LoggedModelOutput"] = (),
    ) -> None:
        """Datasets and models that it read, models that it made."""
        there = {(each.dataset.name, each.dataset.digest) for each in self._datasets}
        self._datasets += [
            each for each in datasets if (each.dataset.name, each.dataset.digest) not in there
        ]
        self._read += list(read)
        self._made += list(made)


def _rank(metric: "Metric") -> tuple[Any, ...]:
    """What is later, as MLflow's stores tell it."""
    return metric.step, metric.timestamp, metric.value
