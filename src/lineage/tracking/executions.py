"""What a run did, as far as its tags, datasets and artifacts say."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from lineage.identity import Execution, StageId
from lineage.tracking import artifacts, outside
from lineage.tracking.dataset_inputs import datasets_of, path_of
from lineage.tracking.outside import PassedOver, run_named
from lineage.tracking.producer import stage_of
from lineage.tracking.tag_values import hashes_tag
from lineage.tracking.tags import DEPS, ORIGINS, OUTPUT, OUTS, RECORD, SIGNATURE

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lineage.tracking.no_store import NoStore

T = TypeVar("T")

NO_PIPELINE = ""
"""The pipeline file of a run that no stage made."""


class Executions:
    """Reads what runs did, each once.

    Args:
        client: MLflow's client of the store, whose artifacts hold what is too long for a tag.
        passed: Told of tags and artifacts that are malformed.
    """

    def __init__(self, client: "MlflowClient | NoStore", passed: PassedOver) -> None:
        self._client = client
        self._passed = passed
        self._known: dict[str, Execution | None] = {}

    def of(self, run: "Run") -> Execution | None:
        """What a run did, as far as it says.

        A run of a user's own script has no signature: its own id stands for one, and what it
        read are the datasets that it logged. None for a run that logged none either.
        """
        run_id = run.info.run_id
        if run_id not in self._known:
            self._known[run_id] = self._of_stage(run) or _of_script(run, self._passed)
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
        return self._from_artifact(run_id, ORIGINS, outside.origins, [])

    def _of_stage(self, run: "Run") -> Execution | None:
        tags = run.data.tags
        if SIGNATURE not in tags:
            return None
        deps, outs = self._by_path(run, DEPS, "deps"), self._by_path(run, OUTS, "outs")
        return Execution(stage_of(run), tags[SIGNATURE], deps, outs)

    def _by_path(self, run: "Run", tag: str, side: str) -> Mapping[str, str]:
        run_id, text = run.info.run_id, run.data.tags.get(tag, "{}")
        if not outside.is_elsewhere(text):
            return self._passed.checked(
                outside.hashes, text, run_named(run_id), f"its tag {tag}", {}
            )

        def read(whole: Mapping[str, Any]) -> Mapping[str, str]:
            found = outside.items(whole, side)
            if hashes_tag(found) != text:
                raise ValueError(f"not what {tag} is the hash of")
            return found

        return self._from_artifact(run_id, RECORD, read, {})

    def _from_artifact(
        self, run_id: str, name: str, read: Callable[[Mapping[str, Any]], T], otherwise: T
    ) -> T:
        """What ``read`` makes of a JSON artifact of a run, if it has one of this name."""
        subject, what = run_named(run_id), f"its artifact {name}"
        try:
            text = artifacts.text_of(self._client, run_id, name)
        except artifacts.UnreadableError as error:
            self._passed.add(subject, f"{what} ({error})")
            return otherwise
        if text is None:
            return otherwise
        return self._passed.checked(
            lambda text: read(outside.artifact(text)), text, subject, what, otherwise
        )


def _of_script(run: "Run", passed: PassedOver) -> Execution | None:
    deps: dict[str, str] = {}
    outs: dict[str, str] = {}
    for dataset, context in datasets_of(run):
        side = outs if context == OUTPUT else deps
        path = path_of(dataset, passed)
        # A script may read two versions of the same data.
        name = path if side.get(path, dataset.digest) == dataset.digest else dataset.name
        side[name] = dataset.digest
    if not deps and not outs:
        return None
    return Execution(StageId(NO_PIPELINE, run.info.run_name or "run"), run.info.run_id, deps, outs)
