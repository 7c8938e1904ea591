"""Two ways to look up runs by hashes of bytes: in the store's database, or by searches.

MLflow's search goes through tags once for every hash that is asked for, and answers with whole
runs. Where this process opens the store's database itself, one pass over one kind of tag does
for all hashes; a tracking server hides its database.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from lineage.tracking.executions import Executions
from lineage.tracking.no_store import NoStore
from lineage.tracking.search import Search, by_age
from lineage.tracking.tag_index import TagIndex, is_database
from lineage.tracking.tag_values import ELSEWHERE
from lineage.tracking.tags import DEPS, DIGEST_LIMIT, OUTS

if TYPE_CHECKING:
    from mlflow.entities import Run


class Lookup(Protocol):
    """Finds runs by hashes. It may find too many: whoever asks looks at each again."""

    def writing(self, digest: str) -> "list[Run]":
        """Runs that may have written these bytes, oldest first."""

    def reading(self, digest: str) -> "list[Run]":
        """Runs that may have read these bytes, oldest first."""

    def prepare(self, digests: Collection[str]) -> None:
        """Ask who reads these in as few questions as possible.

        They must be hashes of data that DVC keeps, which runs name as datasets. Of code, only
        tags tell who read it, and those are searched one hash at a time.
        """

    def prepare_writing(self, digests: Collection[str], known: Collection[str]) -> None:
        """Ask who wrote these in as few questions as possible.

        Runs name the datasets that they wrote, but neither models nor reports. Where a hash is
        known to git, its lock or ``.dvc`` file has an answer as to those; others are searched one
        at a time, unless a run names them.

        Args:
            digests: Hashes of data that DVC keeps.
            known: Those of them that git knows where they come from.
        """

    def count_reading(self, digests: Collection[str] | None) -> dict[str, set[str]]:
        """Hash -> ids of the runs that read it; for every hash, or only for these."""

    def naming_each(self, digests: Collection[str]) -> "list[Run]":
        """A run for each of these bytes that names them as a dataset, where there is one."""


def lookup(search: Search, executions: Executions) -> Lookup:
    """The faster of the ways that the store allows."""
    uri = search.client.tracking_uri
    if is_database(uri) and not isinstance(search.client, NoStore):
        return IndexLookup(TagIndex(uri, search.passed), search, executions)
    return SearchLookup(search, executions)


class IndexLookup:
    """Looks runs up in an index of the database's tags.

    Args:
        index: The hashes in the tags of its database.
        search: For the runs themselves.
        executions: For what runs say whose tags were too short.
    """

    def __init__(self, index: TagIndex, search: Search, executions: Executions) -> None:
        self._index = index
        self._search = search
        self._executions = executions

    def writing(self, digest: str) -> "list[Run]":
        """Runs that may have written these bytes, oldest first."""
        return self._fetch(self._index.writing, digest)

    def reading(self, digest: str) -> "list[Run]":
        """Runs that may have read these bytes, oldest first."""
        return self._fetch(self._index.reading, digest)

    def prepare(self, digests: Collection[str]) -> None:
        """Fetch all runs that read one of these at once."""
        reading = self._index.reading
        self._search.with_ids(run_id for digest in digests for run_id in reading.get(digest, []))

    def prepare_writing(
        self,
        digests: Collection[str],
        known: Collection[str],  # noqa: ARG002 - of the protocol
    ) -> None:
        """Fetch all runs that wrote one of these at once."""
        writing = self._index.writing
        self._search.with_ids(run_id for digest in digests for run_id in writing.get(digest, []))

    def count_reading(
        self,
        digests: Collection[str] | None,  # noqa: ARG002 - of the protocol
    ) -> dict[str, set[str]]:
        """Hash -> ids of the runs that read it; for every hash, which costs no more."""
        counted = {digest: set(ids) for digest, ids in self._index.reading.items() if digest}
        long = self._search.with_tag_like(DEPS, ELSEWHERE)
        return _counted(self._executions, long, counted)

    def naming_each(self, digests: Collection[str]) -> "list[Run]":
        """A run for each of these bytes that names them as a dataset, where there is one."""
        writing, reading = self._index.writing, self._index.reading
        ids = [(writing.get(each) or reading.get(each) or [])[:1] for each in digests]
        return self._search.with_ids(run_id for one in ids for run_id in one)

    def _fetch(self, index: Mapping[str, list[str]], digest: str) -> "list[Run]":
        # Runs with too many paths for a tag stand under the empty hash.
        return self._search.with_ids([*index.get(digest, []), *index.get("", [])])


class SearchLookup:
    """Looks runs up by MLflow's own searches.

    Args:
        search: Of the store's runs.
        executions: For what runs say.
    """

    def __init__(self, search: Search, executions: Executions) -> None:
        self._search = search
        self._executions = executions
        self._prepared: dict[str, set[str]] = {DEPS: set(), OUTS: set()}
        self._asked: set[str] = set()

    def writing(self, digest: str) -> "list[Run]":
        """Runs that may have written these bytes, oldest first."""
        return self._found(OUTS, digest)

    def reading(self, digest: str) -> "list[Run]":
        """Runs that may have read these bytes, oldest first."""
        return self._found(DEPS, digest)

    def prepare(self, digests: Collection[str]) -> None:
        """Ask who names these as datasets, many in a question, instead of who has them in tags."""
        self._search.ask_for_naming(digests)
        new = set(digests) - self._asked
        self._prepared[DEPS].update(digest for digest in new if len(digest) <= DIGEST_LIMIT)

    def prepare_writing(self, digests: Collection[str], known: Collection[str]) -> None:
        """Ask who names these as datasets, many in a question, instead of who has them in tags."""
        self._search.ask_for_naming(digests)
        self._prepared[OUTS].update(
            digest
            for digest in digests
            if len(digest) <= DIGEST_LIMIT and (digest in known or self._is_named_by_writer(digest))
        )

    def _is_named_by_writer(self, digest: str) -> bool:
        runs = self._search.naming(digest)
        return any(digest in self._executions.written(run) for run in runs)

    def count_reading(self, digests: Collection[str] | None) -> dict[str, set[str]]:
        """Hash -> ids of the runs that read it; for every hash, or only for these."""
        if digests is None:
            return _counted(self._executions, self._search.where(""), {})
        self.prepare(digests)
        return {
            digest: {
                run.info.run_id
                for run in self.reading(digest)
                if digest in self._executions.read(run)
            }
            for digest in digests
        }

    def naming_each(self, digests: Collection[str]) -> "list[Run]":
        """A run for each of these bytes that names them as a dataset, where there is one."""
        return list(self._search.some_naming(digests))

    def _found(self, tag: str, digest: str) -> "list[Run]":
        is_prepared = digest in self._prepared[tag]
        if tag == DEPS:
            self._asked.add(digest)
        tagged = [] if is_prepared else self._search.with_hash_in(tag, digest)
        long = self._search.with_tag_like(tag, ELSEWHERE)
        found = tagged + long + self._search.naming(digest)
        return by_age({run.info.run_id: run for run in found}.values())


def _counted(
    executions: Executions, runs: "list[Run]", counted: dict[str, set[str]]
) -> dict[str, set[str]]:
    for run in runs:
        for digest in executions.read(run):
            counted.setdefault(digest, set()).add(run.info.run_id)
    return counted
