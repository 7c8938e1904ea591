"""What is sent to a tracking store, as a line on disk and as a call of MLflow's store."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag

MOST_AT_ONCE = 1000
"""Metrics, params and tags that MLflow takes in one batch; of the latter two a tenth."""


@dataclass(frozen=True)
class Record:
    """One thing that a run is to be given.

    Attributes:
        kind: Key of `CALLS`; or ``create``, ``artifacts`` or ``model``, which a `Spool` sends.
        run_id: The run.
        body: MLflow's own message for it, in base64; of an artifact, a model or a new run what
            those say of themselves.
    """

    kind: str
    run_id: str
    body: Any

    @classmethod
    def of(cls, kind: str, run_id: str, message: Any) -> "Record":
        """Of a message of MLflow's."""
        return cls(kind, run_id, base64.b64encode(message.SerializeToString()).decode("ascii"))

    @classmethod
    def read(cls, line: bytes) -> "Record":
        """From a line that `line` made."""
        return cls(**json.loads(line))

    def line(self) -> bytes:
        """As a line, without its end."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    def message(self, kind: type[Any]) -> Any:
        """The message that it was made of, of this class."""
        return kind.FromString(base64.b64decode(self.body))


def batch(
    run_id: str, metrics: Iterable["Metric"], params: Iterable["Param"], tags: Iterable["RunTag"]
) -> Record:
    """Metrics, params and tags of a run."""
    from mlflow.protos.service_pb2 import LogBatch

    message = LogBatch(
        metrics=[each.to_proto() for each in metrics],
        params=[each.to_proto() for each in params],
        tags=[each.to_proto() for each in tags],
    )
    return Record.of("batch", run_id, message)


def merged(records: Sequence[Record]) -> tuple[Record, int]:
    """The first of some records, with as many of those behind it as go in one call with it.

    Returns:
        It, and how many it was made of.
    """
    from mlflow.protos.service_pb2 import LogBatch

    first = records[0]
    if first.kind != "batch":
        return first, 1
    # A param has one value; of a tag the later one counts.
    metrics: list[Any] = []
    params: dict[str, Any] = {}
    tags: dict[str, Any] = {}
    number = 0
    for record in records:
        if (record.kind, record.run_id) != ("batch", first.run_id):
            break
        more: Any = record.message(LogBatch)
        sizes = [len(more.metrics) + len(metrics)]
        sizes += [len(more.params) + len(params), len(more.tags) + len(tags)]
        if number and (max(sizes[1:]) > MOST_AT_ONCE // 10 or sum(sizes) > MOST_AT_ONCE):
            break
        metrics += more.metrics
        params |= {each.key: each for each in more.params}
        tags |= {each.key: each for each in more.tags}
        number += 1
    whole = LogBatch(metrics=metrics, params=params.values(), tags=tags.values())
    return Record.of("batch", first.run_id, whole), number


def _batch(store: Any, record: Record, run_id: str, model: "ModelIds") -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.protos.service_pb2 import LogBatch

    message: Any = record.message(LogBatch)
    for each in message.metrics:
        each.model_id = model(each.model_id) or ""
    store.log_batch(
        run_id,
        [Metric.from_proto(each) for each in message.metrics],
        [Param.from_proto(each) for each in message.params],
        [RunTag.from_proto(each) for each in message.tags],
    )


def _inputs(store: Any, record: Record, run_id: str, model: "ModelIds") -> None:
    from mlflow.entities import DatasetInput, LoggedModelInput
    from mlflow.protos.service_pb2 import LogInputs

    message: Any = record.message(LogInputs)
    if message.datasets:
        store.log_inputs(run_id, [DatasetInput.from_proto(each) for each in message.datasets])
    if message.models:  # which a database refuses that has them
        inputs = store.get_run(run_id).inputs
        there = {each.model_id for each in (inputs.model_inputs or ())}
        models = {model(each.model_id) for each in message.models} - there
        if new := [LoggedModelInput(each) for each in models if each]:
            store.log_inputs(run_id, models=new)


def _outputs(store: Any, record: Record, run_id: str, model: "ModelIds") -> None:
    from mlflow.entities import LoggedModelOutput
    from mlflow.protos.service_pb2 import LogOutputs

    message: Any = record.message(LogOutputs)
    outputs = store.get_run(run_id).outputs
    there = {each.model_id for each in (outputs.model_outputs if outputs else ())}
    models = {model(each.model_id): each.step for each in message.models}
    new = [LoggedModelOutput(each, step) for each, step in models.items() if each]
    if new := [each for each in new if each.model_id not in there]:
        store.log_outputs(run_id, new)


def _info(store: Any, record: Record, run_id: str, _: "ModelIds") -> None:
    from mlflow.protos.service_pb2 import UpdateRun

    message: Any = record.message(UpdateRun)
    given = [
        getattr(message, name) if message.HasField(name) else None
        for name in ("status", "end_time", "run_name")
    ]
    store.update_run_info(run_id, *given)


def _untag(store: Any, record: Record, run_id: str, _: "ModelIds") -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.service_pb2 import DeleteTag

    message: Any = record.message(DeleteTag)
    try:
        store.delete_tag(run_id, message.key)
    except MlflowException as error:
        # It was sent before, and only the answer was lost.
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


ModelIds = Callable[[str], "str | None"]
"""What a model is called in the store; None for one that it cannot have."""

CALLS: dict[str, Callable[[Any, Record, str, ModelIds], None]] = {
    "batch": _batch,
    "inputs": _inputs,
    "outputs": _outputs,
    "info": _info,
    "untag": _untag,
}
"""How each kind is sent. All may be sent twice, with the same result."""
