"""What DVC calls metrics and plots of a stage, for MLflow."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lineage.recording.run_record import allowed
from lineage.recording.stage_run import StageRun
from lineage.repository.commits import Commit
from lineage.repository.items import Item
from lineage.repository.stage_reader import StageReader
from lineage.repository.workspace import Workspace, as_dvc_reads, open_repo
from lineage.storage.borrow import readable

PLOTS = "plots"
"""The folder among a run's artifacts that they lie in."""


def metrics_of(
    workspace: Workspace, outs: tuple[Item, ...], commit: Commit | None
) -> dict[str, float]:
    """What DVC's metrics files among some outputs say, of those whose bytes are what their hash is.

    Args:
        workspace: The working tree.
        outs: Of a stage.
        commit: A revision; None for the working tree.

    Returns:
        Dotted name -> number; what is no number is left out.
    """
    files = _files(workspace, outs, commit)
    found: dict[str, float] = {}
    # DVC reads objects of the cache without a look at their hash; git looks at its own.
    with readable(workspace, {item.id for item, _ in files}) as sound:
        for item, values in files:
            if commit:
                is_sound = item.id in sound or item.unpushed == "cache: false"
            else:  # it read the working tree
                is_sound = sound.get(item.id) == item.location
            if is_sound:
                found.update(_numbers(values))
    return found


def _files(
    workspace: Workspace, outs: tuple[Item, ...], commit: Commit | None
) -> list[tuple[Item, Any]]:
    """What DVC reads of each metrics file, with the output that it lies in."""
    with open_repo(workspace) as repo, as_dvc_reads(workspace.root):
        shown = repo.metrics.show(revs=[commit.id] if commit else None)
    # With revisions, DVC answers for the working tree too.
    files: Mapping[str, Any] = shown.get(commit.id if commit else "", {}).get("data", {})
    return [
        (item, read.get("data", {}))
        for path, read in files.items()
        for item in outs
        if (workspace.root / path).is_relative_to(item.location)
    ]


def log_measures(run: StageRun, reader: StageReader, outs: tuple[Item, ...]) -> None:
    """Log the metrics and plots that ``dvc.yaml`` declares among what a stage wrote.

    A metric that the stage itself has logged stays as it is.
    """
    client, run_id = run.client, run.run_id
    logged = client.get_run(run_id).data.metrics
    for _, values in _files(run.workspace, outs, None):
        for name, value in _numbers(values):
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
