"""Searches of a tracking store, each of which is made once."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from lineage.tracking.connection import all_experiment_ids, pages
from lineage.tracking.dataset_inputs import datasets_of
from lineage.tracking.tags import DIGEST_LIMIT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

IDS_A_QUESTION = 200
"""How many ids or digests one search lists."""


class Search:
    """Finds active runs, and remembers every answer.

    Attributes:
        client: MLflow's client of the store.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client
        self._answers: dict[str, list[Run]] = {}
        self._by_id: dict[str, Run] = {}
        self._named: dict[str, list[Run]] = {}

    @cached_property
    def experiments(self) -> list[str]:
        """Ids of all active experiments: a run counts, wherever it was logged."""
        return all_experiment_ids(self.client)

    def where(self, query: str) -> "list[Run]":
        """Runs that MLflow's filter finds, oldest first."""
        if query not in self._answers:
            found = pages(
                self.client.search_runs, experiment_ids=self.experiments, filter_string=query
            )
            self._answers[query] = by_age(found)
        return self._answers[query]

    def with_tag(self, tag: str, value: str) -> "list[Run]":
        """Runs with just this value of a tag, which holds no quotes."""
        return self.where(f"tags.`{tag}` = '{value}'")

    def with_tag_like(self, tag: str, pattern: str) -> "list[Run]":
        """Runs whose tag is like an SQL pattern, which holds no single quotes."""
        return self.where(f"tags.`{tag}` LIKE '{pattern}'")

    def with_ids(self, run_ids: Iterable[str]) -> "list[Run]":
        """Runs by their ids, oldest first."""
        wanted = list(dict.fromkeys(run_ids))
        missing = [run_id for run_id in wanted if run_id not in self._by_id]
        for start in range(0, len(missing), IDS_A_QUESTION):
            listed = ", ".join(f"'{each}'" for each in missing[start : start + IDS_A_QUESTION])
            for run in self.where(f"attributes.run_id IN ({listed})"):
                self._by_id[run.info.run_id] = run
        return by_age(self._by_id[run_id] for run_id in wanted if run_id in self._by_id)

    def naming(self, digest: str) -> "list[Run]":
        """Runs that name these bytes as a dataset, read or written."""
        self.ask_for_naming([digest])
        return self._named[digest]

    def ask_for_naming(self, digests: Iterable[str]) -> None:
        """Look up the runs of stages and of users' own scripts that name these as datasets."""
        asked = [each for each in digests if each not in self._named]
        self._named.update({digest: [] for digest in asked})
        named = [digest for digest in asked if 0 < len(digest) <= DIGEST_LIMIT]
        for start in range(0, len(named), IDS_A_QUESTION):
            part = set(named[start : start + IDS_A_QUESTION])
            listed = ", ".join(f"'{each}'" for each in sorted(part))
            for run in self.where(f"dataset.digest IN ({listed})"):
                for digest in {dataset.digest for dataset, _ in datasets_of(run)} & part:
                    self._named[digest].append(run)

    def one_naming(self, digest: str) -> "list[Run]":
        """One run that names these bytes as a dataset, if there is one."""
        if len(digest) > DIGEST_LIMIT:
            return []
        query = f"dataset.digest = '{digest}'"
        return list(self.client.search_runs(self.experiments, query, max_results=1))


def by_age(runs: "Iterable[Run]") -> "list[Run]":
    """Runs by their start, the oldest first."""
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
