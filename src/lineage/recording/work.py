"""Work that no stage of DVC does, as a run: what it read, and what it wrote.

The run has no signature, since no lock holds what it did. It is tied to the rest by the hashes of
its datasets, as that of any script which logs what it reads: what is asked of the data goes through
it, downstream from what it read, and upstream from what it wrote, for as long as those bytes lie at
that path.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lineage.errors import LineageError
from lineage.project import Project
from lineage.recording import run_record
from lineage.recording.backfill import ensure_recorded_model
from lineage.recording.recorded import closing
from lineage.repository.code import CodeState
from lineage.repository.items import Item
from lineage.repository.workspace import Workspace, dvc_of, present_bytes
from lineage.tracking import connection
from lineage.tracking.tags import OUTPUT

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Work:
    """Work that goes on, and its run.

    Attributes:
        project: Where it is done, and its tracking store.
        run_id: Its MLflow run.
        code: Which code does it.
        model_ids: DVC hash -> id of the logged model, of the models that are read.
    """

    project: Project
    run_id: str
    code: CodeState
    model_ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> "MlflowClient":
        """MLflow's client of the tracking store."""
        return self.project.client

    def measured(self, metrics: Mapping[str, float], model: Item, dataset: Item) -> None:
        """Log metrics of a model on a dataset, both of which are read."""
        for name, value in metrics.items():
            self.client.log_metric(
                self.run_id,
                run_record.allowed(name),
                value,
                model_id=self.model_ids.get(model.hash),
                dataset_name=dataset.path,
                dataset_digest=dataset.hash,
            )

    def wrote(self, place: Path, final: Path) -> Item:
        """Log a dataset that was written; nothing writes to it any more.

        Args:
            place: Where it lies now.
            final: Where it will, and what it is called by.
        """
        item = data_at(self.project.workspace, place, name=final)
        run_record.log_datasets(self.client, self.run_id, [item], {item.name: OUTPUT}, self.code)
        return item


@contextmanager
def work(
    project: Project,
    name: str,
    reads: Iterable[Item],
    *,
    params: Mapping[str, object],
    tags: Mapping[str, str],
    contexts: Mapping[str, str] | None = None,
) -> Iterator[Work]:
    """Open a run for the block, and close it as the block ended.

    Args:
        project: Where the work is done, and its tracking store.
        name: Of the run.
        reads: What is read; of models, MLflow gets a logged model where it has none.
        params: What it goes by.
        tags: More to be said of it.
        contexts: Name of what is read -> MLflow's context; `INPUT` for datasets by default.

    Raises:
        LineageError: If the tracking store does not answer.
    """
    from mlflow.entities import LoggedModelInput, Param

    client, items = project.client, list(reads)
    made = {
        item.hash: ensure_recorded_model(project, item.id) for item in items if item.kind == "model"
    }
    models = {digest: model_id for digest, model_id in made.items() if model_id is not None}
    code = CodeState.of(project.workspace, [])
    run = client.create_run(
        connection.experiment_id(client, project.workspace),
        run_name=name,
        tags={**run_record.source_tags(name), **run_record.code_tags(code), **tags},
    )
    run_id = str(run.info.run_id)
    with closing(client, run_id):
        given = [Param(run_record.allowed(key), str(value)) for key, value in params.items()]
        client.log_batch(run_id, params=given)
        run_record.log_datasets(client, run_id, items, contexts or {}, code)
        if models:
            inputs = [LoggedModelInput(model_id) for model_id in models.values()]
            client.log_inputs(run_id, models=inputs)
        yield Work(project, run_id, code, models)


def data_at(
    workspace: Workspace, place: Path, *, name: Path | None = None, kind: str = "dataset"
) -> Item:
    """A file or folder as it is now, with the hash that DVC gives it, whether it keeps it or not.

    Args:
        workspace: A clone of the repository.
        place: Where the bytes are.
        name: The path that it is called by; that one by default.
        kind: ``dataset`` or ``model``.

    Raises:
        LineageError: If nothing is there.
    """
    if not place.exists():
        raise LineageError(f"{place} is not here: run `dvc checkout` or `dvc pull`.")
    with dvc_of(workspace) as repo:
        digest, size_bytes, files = present_bytes(repo, place.absolute())
    path = _named(workspace, name or place)
    return Item(path, place.absolute(), digest, kind, (), size_bytes, files)


def _named(workspace: Workspace, path: Path) -> str:
    """The name of a path, as that of a stage's dependency: from the root, unless it is absolute."""
    location = os.path.normpath(path.absolute())
    if path.is_absolute():
        return workspace.name_of(Path(location))
    return Path(os.path.relpath(location, workspace.git_root)).as_posix()
