"""What DVC calls metrics and plots of a stage, for MLflow."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lineage.recording.run_record import allowed
from lineage.recording.stage_run import StageRun
from lineage.repository.commits import Commit
from lineage.repository.items import Item
from lineage.repository.stage_reader import StageReader
from lineage.repository.workspace import Workspace, open_repo

PLOTS = "plots"
"""The folder among a run's artifacts that they lie in."""


def metrics_of(
    workspace: Workspace, outs: tuple[Item, ...], commit: Commit | None = None
) -> dict[str, float]:
    """What DVC's metrics files among some outputs say, where their bytes can be had.

    Args:
        workspace: The working tree.
        outs: Of a stage.
        commit: A revision; the working tree by default.

    Returns:
        Dotted name -> number; what is no number is left out.
    """
    with open_repo(workspace) as repo:
        shown = repo.metrics.show(revs=[commit.id] if commit else None)
    # With revisions, DVC answers for the working tree too.
    files: Mapping[str, Any] = shown.get(commit.id if commit else "", {}).get("data", {})
    found: dict[str, float] = {}
    for path, read in files.items():
        location = workspace.root / path
        if any(location.is_relative_to(item.location) for item in outs):
            found.update(_numbers(read.get("data", {})))
    return found


def log_measures(run: StageRun, reader: StageReader, outs: tuple[Item, ...]) -> None:
    """Log the metrics and plots that ``dvc.yaml`` declares among what a stage wrote.

    A metric that the stage itself has logged stays as it is.
    """
    client, run_id = run.client, run.run_id
    logged = client.get_run(run_id).data.metrics
    for name, value in metrics_of(run.workspace, outs).items():
        if name not in logged:
            client.log_metric(run_id, name, value)
    for path in reader.plots():
        folder = Path(PLOTS) / path.relative_to(run.workspace.root).parent
        if path.is_dir():
            client.log_artifacts(run_id, str(path), str(folder / path.name))
        elif path.is_file():
            client.log_artifact(run_id, str(path), str(folder))


def _numbers(values: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _numbers(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix and isinstance(values, int | float) and not isinstance(values, bool):
        yield allowed(prefix), float(values)
