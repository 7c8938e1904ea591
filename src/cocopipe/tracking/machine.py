"""How and where a stage ran, which determines no result."""

import mlflow


def log_machine(*, workers: int, device: str | None = None) -> None:
    """Set the active run's tags of the machine; ``device`` None: the stage has no need of one."""
    tags = {"machine.workers": str(workers)}
    if device is not None:
        tags["machine.device"] = device
    mlflow.set_tags(tags)
