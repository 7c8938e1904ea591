"""How and where a stage ran, which determines no result."""

import mlflow

from cocopipe.tracking.tags import DEVICE, PROCESSES, WORKERS


def log_machine(*, workers: int, device: str | None = None, processes: int = 1) -> None:
    """Set the active run's tags of the machine; ``device`` None: the stage has no need of one."""
    tags = {WORKERS: str(workers)}
    if device is not None:
        tags[DEVICE] = device
    if processes > 1:
        tags[PROCESSES] = str(processes)
    mlflow.set_tags(tags)
