"""Searches of a tracking store, each of which is made once."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from lineage.tracking.connection import all_experiment_ids, pages
from lineage.tracking.dataset_inputs import datasets_of
from lineage.tracking.outside import PassedOver, admitted
from lineage.tracking.tags import DIGEST_LIMIT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from lineage.tracking.no_store import NoStore

IDS_A_QUESTION = 200
"""How many ids or digests one search lists."""

RUNS_AN_ANSWER = 50
"""How many runs are looked at at once, where a few that name all of many digests will do."""

_PLAIN = re.compile(r"[\w.:@/+-]+")
_NOT_PLAIN = re.compile(r"[^\w.:@/+\"-]")
"""What MLflow's filters cannot hold in quotes, or take for something else."""


class Search:
    """Finds active runs, and remembers every answer.

    Attributes:
        client: MLflow's client of the store.
        passed: Told of what is malformed in a run that it finds.
    """

    def __init__(self, client: "MlflowClient | NoStore", passed: PassedOver) -> None:
        self.client = client
        self.passed = passed
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
            self._answers[query] = by_age(admitted(run, self.passed) for run in found)
        return self._answers[query]

    def with_tag(self, tag: str, value: str) -> "list[Run]":
        """Runs with just this value of a tag, which holds no quotes."""
        return self.where(f"tags.`{tag}` = '{value}'")

    def with_tag_like(self, tag: str, pattern: str) -> "list[Run]":
        """Runs whose tag is like an SQL pattern, which holds no single quotes."""
        return self.where(f"tags.`{tag}` LIKE '{pattern}'")

    def with_hash_in(self, tag: str, digest: str) -> "list[Run]":
        """Runs that may have a hash in a tag of JSON: they are like it."""
        return self.with_tag_like(tag, f"%{_NOT_PLAIN.sub('_', json.dumps(digest))}%")

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
        for part in _parts(asked):
            for run in self.where(_naming(part)):
                for digest in _named_by(run) & part:
                    self._named[digest].append(run)

    def some_naming(self, digests: Iterable[str]) -> "Iterator[Run]":
        """Runs that together name all of these as datasets, as far as there are any."""
        for part in _parts(digests):
            left = set(part)
            while left:
                found = self.client.search_runs(
                    self.experiments, _naming(left), max_results=RUNS_AN_ANSWER
                )
                if not found:
                    break
                for run in found:
                    if not left.isdisjoint(_named_by(run)):
                        left -= _named_by(run)
                        yield admitted(run, self.passed)


def by_age(runs: "Iterable[Run]") -> "list[Run]":
    """Runs by their start, the oldest first."""
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def _parts(digests: Iterable[str]) -> Iterator[set[str]]:
    """So many digests at a time as one search may list, without those that no dataset has."""
    named = [each for each in digests if len(each) <= DIGEST_LIMIT and _PLAIN.fullmatch(each)]
    for start in range(0, len(named), IDS_A_QUESTION):
        yield set(named[start : start + IDS_A_QUESTION])


def _naming(digests: Iterable[str]) -> str:
    listed = ", ".join(f"'{each}'" for each in sorted(digests))
    return f"dataset.digest IN ({listed})"


def _named_by(run: "Run") -> set[str]:
    return {dataset.digest for dataset, _ in datasets_of(run)}
