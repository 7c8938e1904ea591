"""What the tracking store knows of runs, asked by the hashes of their bytes."""

import posixpath
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lineage.identity import DataId, Execution
from lineage.repository.whose import Here, Whose
from lineage.tracking.dataset_inputs import content_of, datasets_of
from lineage.tracking.executions import Executions
from lineage.tracking.lookup import Lookup, lookup
from lineage.tracking.outside import PassedOver, admitted
from lineage.tracking.producer import Resolution, find_producer
from lineage.tracking.search import Search
from lineage.tracking.tags import COMMIT, DEPS, EXPERIMENT, OUTS, REPOSITORY, ROOT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lineage.tracking.no_store import NoStore


class Runs:
    """The runs of a store. Every question is asked once.

    Attributes:
        client: MLflow's client of the store.
        here: The repository that is asked about, and told from others that share the store;
            without it, every run counts as its own.
        passed: Told of what is malformed in the runs that are looked at.
    """

    def __init__(
        self,
        client: "MlflowClient | NoStore",
        here: Here | None = None,
        passed: PassedOver | None = None,
    ) -> None:
        self.client = client
        self.here = here
        self.passed = passed or PassedOver()
        self._search = Search(client, self.passed)
        self._executions = Executions(client, self.passed)

    @cached_property
    def _lookup(self) -> Lookup:
        return lookup(self._search, self._executions)

    # By what they are.

    def find(self, run_id: str) -> "Run | None":
        """The run with this id, deleted ones too; None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return admitted(self.client.get_run(run_id), self.passed)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def active(self, run_ids: Iterable[str]) -> "dict[str, Run]":
        """Id -> run, of those that are not deleted."""
        return {run.info.run_id: run for run in self._search.with_ids(run_ids)}

    def at_commit(self, commit: str) -> "list[Run]":
        """Runs that ran on this commit, oldest first."""
        return self._search.with_tag(COMMIT, commit)

    def of_experiment(self, name: str) -> "list[Run]":
        """Runs of a DVC experiment, oldest first."""
        return self._search.with_tag(EXPERIMENT, name)

    def resolve(self, execution: Execution, *, is_locked: bool = True) -> Resolution:
        """From an execution to the run that made it.

        Args:
            execution: That of a lock entry, or of another run.
            is_locked: Whether a lock of this repository holds it, so that no run of a stranger's
                can have made it; else one counts too, after those of this repository.
        """
        return find_producer(
            execution,
            lambda tag: self._search.with_tag(tag, execution.signature),
            self.whose if is_locked else self.whose_first,
            lambda: self._strays(execution),
            lambda run: self._had_earlier_name(execution, run),
        )

    def whose(self, run: "Run") -> Whose:
        """Whose a run is: another repository may have a stage and data like these."""
        return self.whose_tags(run.data.tags)

    def whose_tags(self, tags: Mapping[str, str]) -> Whose:
        """Whose something with these tags is, a run or a model version."""
        if self.here is None:
            return Whose.OURS
        return self.here.whose(tags.get(REPOSITORY, ""), tags.get(ROOT, ""))

    def whose_first(self, run: "Run") -> Whose:
        """Whose a run is, where strangers count too: after those of this repository."""
        return min(self.whose(run), Whose.RELATED)

    def _strays(self, execution: Execution) -> "list[Run]":
        """Runs that wrote one of its outputs, and left no lock of what they read."""
        digest, here = next(iter(execution.outs.values())), self.here
        if here is None or not digest:
            return []
        return [
            run
            for run in self.writing(digest)
            if self.whose(run) is Whose.OURS
            and (did := self.execution(run))
            and not here.keeps_since(did, run.data.tags.get(COMMIT, ""))
        ]

    def _had_earlier_name(self, execution: Execution, run: "Run") -> bool:
        """Whether a run made an execution before its stage, or the folder of it, was renamed."""
        did = self.execution(run)
        if did is None or self.here is None or not execution.outs:
            return False
        is_same = _as_seen_from_pipeline(did) == _as_seen_from_pipeline(execution)
        return is_same and self.here.replaces(execution, did.stage)

    # By what they read and wrote.

    def writing(self, digest: str) -> "list[Run]":
        """Finished runs with this hash among their outputs, oldest first."""
        return [
            run
            for run in self._lookup.writing(digest)
            if run.info.status == "FINISHED" and digest in self._executions.written(run)
        ]

    def writing_to(self, data: DataId) -> "list[Run]":
        """Those of them that wrote these bytes to this path."""
        written = self.writing(data.hash)
        return [run for run in written if (did := self.execution(run)) and did.wrote(data)]

    def reading(self, digest: str) -> "list[Run]":
        """Runs of any status that read these bytes, those of users' own scripts too."""
        return [run for run in self._lookup.reading(digest) if digest in self._executions.read(run)]

    def prepare(self, digests: Collection[str]) -> None:
        """Ask who reads these data in as few questions as possible; see `Lookup.prepare`."""
        self._lookup.prepare(digests)

    def prepare_writing(self, digests: Collection[str], known: Collection[str]) -> None:
        """Ask who wrote these data in as few questions as possible; see `Lookup`."""
        self._lookup.prepare_writing(digests, known)

    def count_reading(self, digests: Collection[str] | None = None) -> Mapping[str, set[str]]:
        """Hash -> ids of the runs that read it; for every hash, or only for these."""
        return self._lookup.count_reading(digests)

    def naming(self, digest: str) -> "list[Run]":
        """Runs that name these bytes as a dataset, read or written."""
        return self._search.naming(digest)

    def ask_for_naming(self, digests: Collection[str]) -> None:
        """Ask who names these as datasets, many in a question."""
        self._search.ask_for_naming(digests)

    def hashes(self, prefix: str) -> list[str]:
        """Every hash that begins so in what runs wrote or read."""
        found = [
            *self._search.with_tag_like(OUTS, f'%:"{prefix}%'),
            *self._search.with_tag_like(DEPS, f'%:"{prefix}%'),
            *self._search.where(f"dataset.digest LIKE '{prefix}%'"),
        ]
        known = {
            digest
            for run in found
            for digest in (*self._executions.written(run), *self._executions.read(run))
        }
        return sorted(digest for digest in known if digest.startswith(prefix))

    # What they say.

    def execution(self, run: "Run") -> Execution | None:
        """What a run did; None for one that no stage made and that logged no dataset."""
        return self._executions.of(run)

    def origins(self, run_id: str) -> list[dict[str, Any]]:
        """Where a run fetched bytes from, as its stage logged it."""
        return self._executions.origins(run_id)

    def facts_of_content(self, digests: Collection[str]) -> Mapping[str, Mapping[str, Any]]:
        """Hash -> what MLflow's profile of that dataset says of its content.

        MLflow keeps one profile for a dataset and digest, so any run that wrote or read it
        will do.
        """
        return {
            dataset.digest: content_of(dataset, self.passed)
            for run in self._lookup.naming_each(digests)
            for dataset, _ in datasets_of(run)
            if dataset.digest in digests
        }


def _as_seen_from_pipeline(execution: Execution) -> dict[str, str]:
    """What it wrote, by paths that stay the same where the folder of its pipeline is renamed."""
    folder = posixpath.dirname(execution.stage.pipeline) or "."
    return {posixpath.relpath(path, folder): digest for path, digest in execution.outs.items()}
