"""MLflow's tracking store of this process, whose writes may take the way over a spool."""

import os
from collections.abc import Callable, Sequence
from threading import RLock
from typing import TYPE_CHECKING, Any

from lineage.spool import records
from lineage.spool.records import Record

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

    from lineage.spool.spool import Spool

_ANSWERS_FROM_RECORDS = (
    "get_metric_history",
    "get_metric_history_bulk_interval",
    "get_metric_history_bulk_interval_from_steps",
    "search_runs",
    "search_logged_models",
    "get_logged_model",
    "delete_run",
    "restore_run",
)
"""Of a store's functions those before which everything is sent, if it can be."""


class SpooledStore:
    """A store as MLflow's own, of which a spool takes the writes to runs that it knows.

    All else, and everything where there is no spool, is the store's own. In a process that was
    forked off there is none.

    Attributes:
        uri: Of the store.
        spool: What takes the writes at this time.
    """

    def __init__(self, uri: str, build: Callable[[], Any]) -> None:
        """Make it of a store that is opened when it is first asked."""
        self.uri = uri
        self.spool: Spool | None = None
        self._build = build
        self._real: Any = None
        self._opening = RLock()

    @property
    def real(self) -> Any:
        """The store itself."""
        with self._opening:
            if self._real is None:
                self._real = self._build()
            return self._real

    def __getattr__(self, name: str) -> Any:
        spool = self._present if name in _ANSWERS_FROM_RECORDS else None
        if spool is not None:
            spool.settle()
        return getattr(self.real, name)

    @property
    def _present(self) -> "Spool | None":
        is_own = self.spool is not None and self.spool.process == os.getpid()
        return self.spool if is_own else None

    def _of(self, run_id: str) -> "Spool | None":
        spool = self._present
        return spool if spool is not None and spool.knows(run_id) else None

    def get_run(self, run_id: str) -> "Run":
        """Give a run as it will be once everything is sent."""
        spool = self._of(run_id)
        return spool.run(run_id) if spool is not None else self.real.get_run(run_id)

    def create_run(
        self,
        experiment_id: str,
        user_id: str,
        start_time: int,
        tags: "list[RunTag]",
        run_name: str,
    ) -> "Run":
        """Create a run, whose writes go over the spool too."""
        if self._present is None:
            run: Run = self.real.create_run(experiment_id, user_id, start_time, tags, run_name)
            return run
        return self._present.create(experiment_id, user_id, start_time, tags, run_name)

    def log_batch(
        self,
        run_id: str,
        metrics: "Sequence[Metric]",
        params: "Sequence[Param]",
        tags: "Sequence[RunTag]",
    ) -> None:
        """Log metrics, params and tags."""
        from mlflow.utils import validation

        spool = self._of(run_id)
        if spool is None:
            self.real.log_batch(run_id, metrics, params, tags)
            return
        # What the server would say later, when nobody waits for it any more.
        validation._validate_batch_log_limits(metrics, params, tags)  # type: ignore[no-untyped-call]
        validation._validate_param_keys_unique(params)  # type: ignore[no-untyped-call]
        valid = validation._validate_batch_log_data(metrics, params, tags)  # type: ignore[no-untyped-call]
        spool.put(records.batch(run_id, *valid), lambda mirror: mirror.take(*valid))

    def log_metric(self, run_id: str, metric: "Metric") -> None:
        """Log a metric."""
        self.log_batch(run_id, [metric], [], [])

    def log_param(self, run_id: str, param: "Param") -> None:
        """Log a param."""
        self.log_batch(run_id, [], [param], [])

    def set_tag(self, run_id: str, tag: "RunTag") -> None:
        """Set a tag."""
        self.log_batch(run_id, [], [], [tag])

    def log_batch_async(self, run_id: str, metrics: Any, params: Any, tags: Any) -> Any:
        """Log metrics, params and tags; what is asked to be done later, a spool does at once."""
        from mlflow.utils.async_logging.run_operations import RunOperations

        if self._of(run_id) is None:
            return self.real.log_batch_async(run_id, metrics, params, tags)
        self.log_batch(run_id, metrics, params, tags)
        return RunOperations([])  # type: ignore[no-untyped-call]

    def log_metric_async(self, run_id: str, metric: "Metric") -> Any:
        """Log a metric."""
        return self.log_batch_async(run_id, [metric], [], [])

    def log_param_async(self, run_id: str, param: "Param") -> Any:
        """Log a param."""
        return self.log_batch_async(run_id, [], [param], [])

    def set_tag_async(self, run_id: str, tag: "RunTag") -> Any:
        """Set a tag."""
        return self.log_batch_async(run_id, [], [], [tag])

    def delete_tag(self, run_id: str, key: str) -> None:
        """Delete a tag."""
        from mlflow.protos.service_pb2 import DeleteTag

        spool = self._of(run_id)
        if spool is None:
            self.real.delete_tag(run_id, key)
            return
        record = Record.of("untag", run_id, DeleteTag(run_id=run_id, key=key))
        spool.put(record, lambda mirror: mirror.untag(key))

    def update_run_info(
        self, run_id: str, run_status: int, end_time: int | None, run_name: str | None
    ) -> "RunInfo":
        """Set status, end and name."""
        from mlflow.protos.service_pb2 import UpdateRun

        spool = self._of(run_id)
        if spool is None:
            info: RunInfo = self.real.update_run_info(run_id, run_status, end_time, run_name)
            return info
        message = UpdateRun(status=run_status, end_time=end_time, run_name=run_name)  # type: ignore[arg-type]
        spool.put(
            Record.of("info", run_id, message),
            lambda mirror: mirror.update(run_status, end_time, run_name),
        )
        return spool.run(run_id).info

    def log_inputs(
        self,
        run_id: str,
        datasets: "list[DatasetInput] | None" = None,
        models: "list[LoggedModelInput] | None" = None,
    ) -> None:
        """Log datasets and models that a run read."""
        from mlflow.protos.service_pb2 import LogInputs

        spool = self._of(run_id)
        if spool is None:
            self.real.log_inputs(run_id, datasets, models)
            return
        datasets, models = datasets or [], models or []
        message = LogInputs(
            datasets=[each.to_proto() for each in datasets],
            models=[each.to_proto() for each in models],
        )
        spool.put(
            Record.of("inputs", run_id, message),
            lambda mirror: mirror.link(datasets=datasets, read=models),
        )

    def log_outputs(self, run_id: str, models: "list[LoggedModelOutput]") -> None:
        """Log models that a run made."""
        from mlflow.protos.service_pb2 import LogOutputs

        spool = self._of(run_id)
        if spool is None:
            self.real.log_outputs(run_id, models)
            return
        message = LogOutputs(models=[each.to_proto() for each in models])
        spool.put(Record.of("outputs", run_id, message), lambda mirror: mirror.link(made=models))


def installed(uri: str, *, is_there: bool = True) -> SpooledStore:
    """MLflow's store of this URI in this process, from now on one that can have a spool.

    Args:
        uri: Of the store.
        is_there: Whether it answers, so that it is opened at once; else when it is first asked.
    """
    from mlflow.tracking._tracking_service.utils import _tracking_store_registry as registry
    from mlflow.utils.uri import get_uri_scheme

    with _installing:
        if uri not in _installed:
            build = registry.get_store_builder(uri)  # type: ignore[no-untyped-call]
            opened = registry.get_store(uri) if is_there else None  # type: ignore[no-untyped-call]
            _installed[uri] = SpooledStore(
                uri, lambda: opened or build(store_uri=uri, artifact_uri=None)
            )

            def choose(store_uri: str, artifact_uri: str | None = None) -> Any:
                if store_uri == uri:
                    return _installed[uri]
                return build(store_uri=store_uri, artifact_uri=artifact_uri)

            registry.register(get_uri_scheme(uri), choose)  # type: ignore[no-untyped-call]
            # It remembers what it built.
            registry._get_store_with_resolved_uri.cache_clear()
        return _installed[uri]


_installed: dict[str, SpooledStore] = {}
_installing = RLock()
