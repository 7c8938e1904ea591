"""How and where a stage ran, which determines no result."""

import mlflow

from cocopipe.tracking.tags import DEVICE, WORKERS


def log_machine(*, workers: int, device: str | None = None) -> None:
    """Set the active run's tags of the machine; ``device`` None: the stage has no need of one."""
    tags = {WORKERS: str(workers)}
    if device is not None:
        tags[DEVICE] = device
    mlflow.set_tags(tags)
