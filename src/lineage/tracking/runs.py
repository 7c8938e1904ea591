"""What the tracking store knows: runs and model versions by the hashes of their bytes."""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lineage.identity import Execution, StageId, is_elsewhere
from lineage.repository.code import address
from lineage.tracking.connection import all_experiment_ids, pages
from lineage.tracking.dataset_inputs import content_of, datasets_of, path_of
from lineage.tracking.producer import Resolution, find_producer
from lineage.tracking.tag_index import TagIndex, is_database, json_object
from lineage.tracking.tags import (
    DIGEST_LIMIT,
    ORIGINS,
    OUTPUT,
    RECORD,
    SIGNATURE,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ELSEWHERE = '%"see":"lineage.json"%'
"""What stands in the tag of a run with so many paths that they did not fit."""

NO_PIPELINE = ""
"""The pipeline file of a run that no stage made."""

QUESTIONS_AT_ONCE = 8
"""How many searches a tracking server is asked to do at the same time."""

IDS_A_QUESTION = 200


class Runs:
    """The runs of a store. Every question is asked once.

    Attributes:
        client: Of the store.
        repository: The URL of the repository that is asked about; empty where it has none.
    """

    def __init__(self, client: "MlflowClient", repository: str = "") -> None:
        self.client = client
        self.repository = repository
        self._answers: dict[str, list[Run]] = {}
        self._executions: dict[str, Execution | None] = {}
        self._by_id: dict[str, Run] = {}
        self._named: dict[str, list[Run]] = {}

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

    def active(self, run_ids: Iterable[str]) -> "dict[str, Run]":
        """Id -> run, of those that are not deleted."""
        return {run.info.run_id: run for run in self._fetch(run_ids)}

    def writing(self, digest: str) -> "list[Run]":
        """Finished runs with this hash among their outputs, oldest first."""
        return [
            run
            for run in self._with_hash("dvc.outs", digest)
            if run.info.status == "FINISHED" and digest in self._hashes(run, "outs")
        ]

    def reading(self, digest: str) -> "list[Run]":
        """Runs of any status that read these bytes, those of users' own scripts too."""
        return [
            run
            for run in self._with_hash("dvc.deps", digest)
            if digest in self._hashes(run, "deps")
        ]

    def prepare(self, digests: Collection[str]) -> None:
        """Ask who reads these in as few questions as possible.

        They must be hashes of data that DVC keeps, which runs name as datasets. Of code, only
        tags tell who read it, and those are searched one hash at a time.
        """
        if self._index is not None:
            index = self._index.reading
            self._fetch(run_id for digest in digests for run_id in index.get(digest, []))
            return
        self._ask_for_naming(digests)
        for digest in digests:
            if len(digest) <= DIGEST_LIMIT:
                self._answers.setdefault(_like("dvc.deps", digest), [])

    def count_reading(self, digests: Collection[str] | None = None) -> Mapping[str, set[str]]:
        """Hash -> ids of the runs that read it; for every hash, or only for these."""
        if self._index is not None:
            long = self._with_long_tag("dvc.deps")
            counted = {digest: set(ids) for digest, ids in self._index.reading.items() if digest}
        elif digests is not None:
            self.prepare(digests)
            return {each: {run.info.run_id for run in self.reading(each)} for each in digests}
        else:
            long, counted = self._search(""), {}
        for run in long:
            for digest in self._hashes(run, "deps"):
                counted.setdefault(digest, set()).add(run.info.run_id)
        return counted

    def facts_of_content(self, digests: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """Hash -> what MLflow's profile of that dataset says of its content.

        MLflow keeps one profile for a dataset and digest, so any run that wrote or read it
        will do.
        """
        if self._index is not None:
            writing, reading = self._index.writing, self._index.reading
            ids = [(writing.get(each) or reading.get(each) or [])[:1] for each in digests]
            runs = self._fetch(run_id for one in ids for run_id in one)
        else:
            with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
                runs = [run for found in pool.map(self._one_naming, digests) for run in found]
        return {
            dataset.digest: content_of(dataset)
            for run in runs
            for dataset, _ in datasets_of(run)
            if dataset.digest in digests
        }

    def naming(self, digest: str) -> "list[Run]":
        """Runs that name these bytes as a dataset, read or written."""
        self._ask_for_naming([digest])
        return self._named[digest]

    def at_commit(self, commit: str) -> "list[Run]":
        """Runs that ran on this commit, oldest first."""
        return self._search(f"tags.`git.commit` = '{commit}'")

    def of_experiment(self, name: str) -> "list[Run]":
        """Runs of a DVC experiment, oldest first."""
        return self._search(f"tags.`dvc.exp.name` = '{name}'")

    def hashes(self, prefix: str) -> list[str]:
        """Every hash that begins so in what runs wrote or read."""
        found = [
            *self._search(f"tags.`dvc.outs` LIKE '%:\"{prefix}%'"),
            *self._search(f"tags.`dvc.deps` LIKE '%:\"{prefix}%'"),
            *self._search(f"dataset.digest LIKE '{prefix}%'"),
        ]
        known = {
            digest
            for run in found
            for side in ("outs", "deps")
            for digest in self._hashes(run, side)
        }
        return sorted(digest for digest in known if digest.startswith(prefix))

    def resolve(self, execution: Execution) -> Resolution:
        """From an execution to the run that made it."""
        return find_producer(
            execution,
            lambda tag: self._search(f"tags.`{tag}` = '{execution.signature}'"),
            self.is_foreign,
        )

    def is_foreign(self, run: "Run") -> bool:
        """Whether a run is of another repository, which has a stage and data like these."""
        there = address(run.data.tags.get("git.repository", ""))
        here = address(self.repository)
        return bool(there and here and there != here)

    def execution(self, run: "Run") -> Execution | None:
        """What a run did, as far as it says.

        A run of a user's own script has no signature: its own id stands for one, and what it
        read are the datasets that it logged. None for a run that logged none either.
        """
        run_id = run.info.run_id
        if run_id not in self._executions:
            self._executions[run_id] = self._of_stage(run) or _of_script(run)
        return self._executions[run_id]

    def _of_stage(self, run: "Run") -> Execution | None:
        tags = run.data.tags
        if SIGNATURE not in tags:
            return None
        stage = StageId(tags.get("dvc.pipeline", "dvc.yaml"), tags.get("dvc.stage", ""))
        deps, outs = self._hashes_by_path(run, "deps"), self._hashes_by_path(run, "outs")
        return Execution(stage, tags[SIGNATURE], deps, outs)

    def origins(self, run_id: str) -> list[dict[str, Any]]:
        """Where a run fetched bytes from, as its stage logged it."""
        return list((self._artifact(run_id, ORIGINS) or {}).get("origins", []))

    def _hashes(self, run: "Run", side: str) -> list[str]:
        execution = self.execution(run)
        return list(getattr(execution, side).values()) if execution else []

    def _hashes_by_path(self, run: "Run", side: str) -> Mapping[str, str]:
        tag = f"dvc.{side}"
        what = f"the tag {tag} of the run {run.info.run_id}"
        values = json_object(run.data.tags.get(tag, "{}"), what)
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
        # Those that name it may have read or written it: whoever asks looks at each again.
        found = self._search(_like(tag, digest)) + self._with_long_tag(tag) + self.naming(digest)
        return _by_age({run.info.run_id: run for run in found}.values())

    def _ask_for_naming(self, digests: Iterable[str]) -> None:
        """Look up the runs of stages and of users' own scripts that name these as datasets."""
        asked = [each for each in digests if each not in self._named]
        self._named.update({digest: [] for digest in asked})
        named = [digest for digest in asked if 0 < len(digest) <= DIGEST_LIMIT]
        for start in range(0, len(named), IDS_A_QUESTION):
            part = set(named[start : start + IDS_A_QUESTION])
            listed = ", ".join(f"'{each}'" for each in sorted(part))
            for run in self._search(f"dataset.digest IN ({listed})"):
                for digest in {dataset.digest for dataset, _ in datasets_of(run)} & part:
                    self._named[digest].append(run)

    def _one_naming(self, digest: str) -> "list[Run]":
        if len(digest) > DIGEST_LIMIT:
            return []
        query = f"dataset.digest = '{digest}'"
        return list(self.client.search_runs(self.experiments, query, max_results=1))

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


def _like(tag: str, digest: str) -> str:
    return f"tags.`{tag}` LIKE '%\"{digest}\"%'"


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


def _by_age(runs: "Iterable[Run]") -> "list[Run]":
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
