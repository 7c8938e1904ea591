"""MLflow's active run, which its own functions log into, whatever a stage does to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def active(run_id: str) -> Iterator[None]:
    """Make a run MLflow's active one for the block, and no active one after it.

    The block may end it, begin runs of its own, or turn to another store: those are its own
    affairs. The store is not asked again, which may be gone by then.
    """
    import mlflow
    from mlflow.tracking import fluent

    mlflow.start_run(run_id=run_id, log_system_metrics=False)
    try:
        yield
    finally:
        # Not `end_run`, which ends what is active, in the store that is set.
        opened = fluent._active_run_stack.get()  # type: ignore[no-untyped-call]
        opened[:] = [run for run in opened if run.info.run_id != run_id]


@contextmanager
def measured(client: "MlflowClient", run_id: str, *, goes_on: bool = False) -> Iterator[None]:
    """Log MLflow's measurements of the machine into a run during the block.

    Args:
        client: Of the run's store.
        run_id: The run.
        goes_on: Whether it has some already, whose numbering is continued.
    """
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor: Any = SystemMetricsMonitor(  # type: ignore[no-untyped-call]
        run_id, resume_logging=goes_on, tracking_uri=client.tracking_uri
    )
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
