"""What the tracking store knows: runs and model versions by the hashes of their bytes."""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lineage.graph import RunFacts, VersionNode
from lineage.identity import Execution, StageId, is_elsewhere
from lineage.models import MODEL_HASH, evaluation
from lineage.record import ORIGINS, RECORD
from lineage.registration import EVALUATION
from lineage.resolve import Resolution, decide
from lineage.tag_index import TagIndex, is_database
from lineage.tracking import all_experiment_ids, pages

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

ELSEWHERE = '%"see":"lineage.json"%'
"""What stands in the tag of a run with so many paths that they did not fit."""

QUESTIONS_AT_ONCE = 8
"""How many searches a tracking server is asked to do at the same time."""

IDS_A_QUESTION = 200

SYSTEM_METRICS = "system/"


class Runs:
    """The runs of a store. Every question is asked once.

    Attributes:
        client: Of the store.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self._answers: dict[str, list[Run]] = {}
        self._executions: dict[str, Execution | None] = {}
        self._by_id: dict[str, Run] = {}

    @cached_property
    def experiments(self) -> list[str]:
        """Ids of all active experiments: a run counts, wherever it was logged."""
        return all_experiment_ids(self.client)

    def find(self, run_id: str) -> "Run | None":
        """The run with this id, deleted ones too; None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def writing(self, digest: str) -> "list[Run]":
        """Finished runs with this hash among their outputs, oldest first."""
        return [
            run
            for run in self._with_hash("dvc.outs", digest)
            if run.info.status == "FINISHED" and digest in self._hashes(run, "outs")
        ]

    def reading(self, digest: str) -> "list[Run]":
        """Runs of any status with this hash among their dependencies, oldest first.

        MLflow's dataset filter would also find runs that wrote it.
        """
        return [
            run
            for run in self._with_hash("dvc.deps", digest)
            if digest in self._hashes(run, "deps")
        ]

    def prepare(self, digests: Iterable[str]) -> None:
        """Ask who reads each of these in as few, or as simultaneous, questions as possible."""
        index = self._index
        if index is None:
            with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
                list(pool.map(lambda digest: self._with_hash("dvc.deps", digest), digests))
        else:
            self._fetch(run_id for digest in digests for run_id in index.reading.get(digest, []))

    def count_reading(self) -> Mapping[str, set[str]]:
        """Hash -> ids of the runs that read it, for every hash."""
        if self._index is not None:
            long = self._with_long_tag("dvc.deps")
            counted = {digest: set(ids) for digest, ids in self._index.reading.items() if digest}
        else:
            long = self._search("tags.`dvc.stage` LIKE '%'")
            counted = {}
        for run in long:
            for digest in self._hashes(run, "deps"):
                counted.setdefault(digest, set()).add(run.info.run_id)
        return counted

    def at_commit(self, commit: str) -> "list[Run]":
        """Runs that ran on this commit, oldest first."""
        return self._search(f"tags.`git.commit` = '{commit}'")

    def hashes(self, prefix: str) -> list[str]:
        """Every hash that begins so in what runs wrote."""
        found = self._search(f"tags.`dvc.outs` LIKE '%:\"{prefix}%'")
        written = {digest for run in found for digest in self._hashes(run, "outs")}
        return sorted(digest for digest in written if digest.startswith(prefix))

    def resolve(self, execution: Execution) -> Resolution:
        """From an execution to the run that made it."""
        return decide(
            execution, lambda tag: self._search(f"tags.`{tag}` = '{execution.signature}'")
        )

    def execution(self, run: "Run") -> Execution | None:
        """What a run did, as far as it says; None for a run that no stage made."""
        run_id = run.info.run_id
        if run_id not in self._executions:
            tags = run.data.tags
            if "dvc.signature" in tags:
                self._executions[run_id] = Execution(
                    StageId(tags.get("dvc.pipeline", "dvc.yaml"), tags.get("dvc.stage", "")),
                    tags["dvc.signature"],
                    self._hashes_by_path(run, "deps"),
                    self._hashes_by_path(run, "outs"),
                )
            else:
                self._executions[run_id] = None
        return self._executions[run_id]

    def origins(self, run_id: str) -> list[dict[str, Any]]:
        """Where a run fetched bytes from, as its stage logged it."""
        return list((self._artifact(run_id, ORIGINS) or {}).get("origins", []))

    def _hashes(self, run: "Run", side: str) -> list[str]:
        execution = self.execution(run)
        return list(getattr(execution, side).values()) if execution else []

    def _hashes_by_path(self, run: "Run", side: str) -> Mapping[str, str]:
        values = dict(json.loads(run.data.tags.get(f"dvc.{side}", "{}")))
        if not is_elsewhere(values):
            return values
        whole = self._artifact(run.info.run_id, RECORD) or {}
        return {item["path"]: item["hash"] for item in whole.get(side, [])}

    def _artifact(self, run_id: str, name: str) -> dict[str, Any] | None:
        """A JSON artifact of a run; None if it has none of this name."""
        import mlflow

        if name not in {artifact.path for artifact in self.client.list_artifacts(run_id)}:
            return None
        return dict(mlflow.artifacts.load_dict(f"runs:/{run_id}/{name}"))

    @cached_property
    def _index(self) -> TagIndex | None:
        uri = self.client.tracking_uri
        return TagIndex(uri) if is_database(uri) else None

    def _with_hash(self, tag: str, digest: str) -> "list[Run]":
        if self._index is not None:
            index = self._index.reading if tag == "dvc.deps" else self._index.writing
            return self._fetch([*index.get(digest, []), *index.get("", [])])
        found = self._search(f"tags.`{tag}` LIKE '%\"{digest}\"%'")
        known = {run.info.run_id for run in found}
        return found + [run for run in self._with_long_tag(tag) if run.info.run_id not in known]

    def _with_long_tag(self, tag: str) -> "list[Run]":
        return self._search(f"tags.`{tag}` LIKE '{ELSEWHERE}'")

    def _fetch(self, run_ids: Iterable[str]) -> "list[Run]":
        """Runs by their ids, oldest first."""
        wanted = list(dict.fromkeys(run_ids))
        missing = [run_id for run_id in wanted if run_id not in self._by_id]
        for start in range(0, len(missing), IDS_A_QUESTION):
            listed = ", ".join(f"'{each}'" for each in missing[start : start + IDS_A_QUESTION])
            for run in self._search(f"attributes.run_id IN ({listed})"):
                self._by_id[run.info.run_id] = run
        return _by_age(self._by_id[run_id] for run_id in wanted if run_id in self._by_id)

    def _search(self, query: str) -> "list[Run]":
        """Active runs, oldest first."""
        if query not in self._answers:
            found = pages(
                self.client.search_runs, experiment_ids=self.experiments, filter_string=query
            )
            self._answers[query] = _by_age(found)
        return self._answers[query]


def _by_age(runs: "Iterable[Run]") -> "list[Run]":
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def facts_of(run: "Run") -> RunFacts:
    """What is shown of a run."""
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    tags = run.data.tags
    inputs = run.inputs.dataset_inputs if run.inputs else []
    contexts = {
        each.dataset.name: tag.value
        for each in inputs
        for tag in each.tags
        if tag.key == MLFLOW_DATASET_CONTEXT
    }
    return RunFacts(
        id=run.info.run_id,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        commit=tags.get("git.commit", ""),
        branch=tags.get("git.branch", ""),
        dirty=tags.get("git.dirty") == "true",
        experiment=tags.get("dvc.exp.name", ""),
        repository=tags.get("git.repository", ""),
        backfilled=tags.get("lineage.backfilled") == "true",
        metrics={
            name: value
            for name, value in sorted(run.data.metrics.items())
            if not name.startswith(SYSTEM_METRICS)
        },
        contexts=contexts,
    )


class Registry:
    """The versions of all registered models.

    Attributes:
        client: Of the store.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client

    @cached_property
    def versions(self) -> list[VersionNode]:
        """Every version of every model."""
        found = pages(self.client.search_model_versions, max_results=1000)
        return [self._node(version) for version in found]

    def made_of(self, digest: str) -> list[VersionNode]:
        """Versions whose files have this hash."""
        return [version for version in self.versions if version.hash == digest]

    def find(self, name: str, version: str) -> VersionNode | None:
        """One version, by number or, with a leading ``@``, by alias; None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            if version.startswith("@"):
                found = self.client.get_model_version_by_alias(name, version[1:])
            else:
                found = self.client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._node(found)

    def names(self) -> list[str]:
        """Of all registered models."""
        return sorted(self._aliases)

    @cached_property
    def _aliases(self) -> dict[str, dict[str, list[str]]]:
        """Model -> version -> aliases."""
        aliases: dict[str, dict[str, list[str]]] = {}
        for model in pages(self.client.search_registered_models):
            of_model = aliases.setdefault(model.name, {})
            for alias, version in model.aliases.items():
                of_model.setdefault(str(version), []).append(alias)
        return aliases

    def _node(self, version: "ModelVersion") -> VersionNode:
        tags = version.tags
        evaluated_on = tags.get(EVALUATION, "")
        aliases = self._aliases.get(version.name, {}).get(str(version.version), [])
        digest = tags.get(MODEL_HASH) or self._hash_of_logged_model(version)
        return VersionNode(
            name=version.name,
            version=str(version.version),
            hash=digest,
            aliases=tuple(sorted(aliases)),
            verdict=tags.get("verdict", ""),
            metrics=(evaluation(version, evaluated_on) or {}) if evaluated_on else {},
            evaluated_on=evaluated_on,
            run_id=tags.get("dvc.run") or version.run_id or "",
            data=dict(json.loads(tags.get("dvc.data", "{}"))),
        )

    def _hash_of_logged_model(self, version: "ModelVersion") -> str:
        """For a version that a user registered from a model that a stage logged."""
        from mlflow.exceptions import MlflowException

        if not version.model_id:
            return ""
        try:
            tags = self.client.get_logged_model(version.model_id).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        return str(tags.get(MODEL_HASH, ""))
