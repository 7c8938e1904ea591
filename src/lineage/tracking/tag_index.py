"""Which runs read or wrote which bytes, where the store is a database that we can open.

MLflow's search goes through the same tags once for every hash that is asked for, and
answers with whole runs: a millisecond for each. To follow a dataset version to everything
that it reached, or to count the runs of all versions, one pass over one kind of tag is
enough. A tracking server hides its database; there, searches have to do.
"""

from collections.abc import Mapping
from functools import cached_property

from lineage.tracking import outside
from lineage.tracking.outside import PassedOver, run_named
from lineage.tracking.tags import DEPS, OUTPUT, OUTS, SIGNATURE

TAGS_QUERY = """
SELECT tags.run_uuid, tags.value
FROM tags
JOIN runs ON runs.run_uuid = tags.run_uuid
JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE tags.key = :key
  AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
ORDER BY runs.start_time, runs.run_uuid
"""

SCRIPTS_QUERY = """
SELECT runs.run_uuid, datasets.digest
FROM inputs
JOIN datasets ON datasets.dataset_uuid = inputs.source_id
JOIN runs ON runs.run_uuid = inputs.destination_id
JOIN experiments ON experiments.experiment_id = runs.experiment_id
LEFT JOIN input_tags
  ON input_tags.input_uuid = inputs.input_uuid AND input_tags.name = :context
WHERE inputs.source_type = 'DATASET' AND inputs.destination_type = 'RUN'
  AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
  AND COALESCE(input_tags.value, '') {comparison} :output
  AND NOT EXISTS (
    SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND tags.key = :signature
  )
ORDER BY runs.start_time, runs.run_uuid
"""
"""The datasets of runs that no stage made, but a user's own script."""


def is_database(uri: str) -> bool:
    """Whether this process opens the store's database itself."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return uri.split(":")[0].split("+")[0] in DATABASE_ENGINES


class TagIndex:
    """An index of the hashes in the tags of active runs.

    Attributes:
        uri: Of the store's database.
        passed: Told of tags that are malformed.
    """

    def __init__(self, uri: str, passed: PassedOver) -> None:
        self.uri = uri
        self.passed = passed

    @cached_property
    def reading(self) -> Mapping[str, list[str]]:
        """Hash -> ids of the runs that read it, oldest first."""
        return self._by_hash(DEPS, written=False)

    @cached_property
    def writing(self) -> Mapping[str, list[str]]:
        """Hash -> ids of the runs that wrote it, oldest first."""
        return self._by_hash(OUTS, written=True)

    def _by_hash(self, key: str, *, written: bool) -> dict[str, list[str]]:
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        found: dict[str, list[str]] = {}
        for run_id, value in self._rows(TAGS_QUERY, key=key):
            # Those with too many paths for a tag stand under the empty hash.
            digests = {""} if outside.is_elsewhere(value) else self._hashes(run_id, key, value)
            for digest in digests:
                found.setdefault(digest, []).append(run_id)
        for run_id, digest in self._rows(
            SCRIPTS_QUERY.format(comparison="=" if written else "<>"),
            signature=SIGNATURE,
            context=MLFLOW_DATASET_CONTEXT,
            output=OUTPUT,
        ):
            found.setdefault(digest, []).append(run_id)
        return found

    def _hashes(self, run_id: str, key: str, value: str) -> set[str]:
        subject = run_named(run_id)
        none: dict[str, str] = {}
        read = self.passed.checked(outside.hashes, value, subject, f"its tag {key}", none)
        return set(read.values())

    def _rows(self, query: str, **values: object) -> list[tuple[str, str]]:
        from sqlalchemy import create_engine, text

        engine = create_engine(self.uri)
        try:
            with engine.connect() as connection:
                return [(row[0], row[1]) for row in connection.execute(text(query), values)]
        finally:
            engine.dispose()
