"""What a run did, as far as its tags, datasets and artifacts say."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lineage.identity import Execution, StageId
from lineage.tracking.dataset_inputs import datasets_of, path_of
from lineage.tracking.tag_values import is_elsewhere, json_object
from lineage.tracking.tags import DEPS, ORIGINS, OUTPUT, OUTS, PIPELINE, RECORD, SIGNATURE, STAGE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

NO_PIPELINE = ""
"""The pipeline file of a run that no stage made."""


class Executions:
    """Reads what runs did, each once.

    Args:
        client: MLflow's client of the store, whose artifacts hold what is too long for a tag.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self._client = client
        self._known: dict[str, Execution | None] = {}

    def of(self, run: "Run") -> Execution | None:
        """What a run did, as far as it says.

        A run of a user's own script has no signature: its own id stands for one, and what it
        read are the datasets that it logged. None for a run that logged none either.
        """
        run_id = run.info.run_id
        if run_id not in self._known:
            self._known[run_id] = self._of_stage(run) or _of_script(run)
        return self._known[run_id]

    def read(self, run: "Run") -> list[str]:
        """The hashes of what a run read."""
        execution = self.of(run)
        return list(execution.deps.values()) if execution else []

    def written(self, run: "Run") -> list[str]:
        """The hashes of what a run wrote."""
        execution = self.of(run)
        return list(execution.outs.values()) if execution else []

    def origins(self, run_id: str) -> list[dict[str, Any]]:
        """Where a run fetched bytes from, as its stage logged it."""
        return list((self._artifact(run_id, ORIGINS) or {}).get("origins", []))

    def _of_stage(self, run: "Run") -> Execution | None:
        tags = run.data.tags
        if SIGNATURE not in tags:
            return None
        stage = StageId(tags.get(PIPELINE, "dvc.yaml"), tags.get(STAGE, ""))
        deps, outs = self._by_path(run, DEPS, "deps"), self._by_path(run, OUTS, "outs")
        return Execution(stage, tags[SIGNATURE], deps, outs)

    def _by_path(self, run: "Run", tag: str, side: str) -> Mapping[str, str]:
        what = f"the tag {tag} of the run {run.info.run_id}"
        values = json_object(run.data.tags.get(tag, "{}"), what)
        if not is_elsewhere(values):
            return values
        whole = self._artifact(run.info.run_id, RECORD) or {}
        return {item["path"]: item["hash"] for item in whole.get(side, [])}

    def _artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        """A JSON artifact of a run; None if it has none of this name."""
        import mlflow

        if name not in {artifact.path for artifact in self._client.list_artifacts(run_id)}:
            return None
        return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{name}"))


def _of_script(run: "Run") -> Execution | None:
    deps: dict[str, str] = {}
    outs: dict[str, str] = {}
    for dataset, context in datasets_of(run):
        side = outs if context == OUTPUT else deps
        path = path_of(dataset)
        # A script may read two versions of the same data.
        name = path if side.get(path, dataset.digest) == dataset.digest else dataset.name
        side[name] = dataset.digest
    if not deps and not outs:
        return None
    return Execution(StageId(NO_PIPELINE, run.info.run_name or "run"), run.info.run_id, deps, outs)
