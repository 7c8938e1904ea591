"""Which runs read or wrote which bytes, where the store is a database that we can open.

MLflow's search goes through the same tags once for every hash that is asked for, and
answers with whole runs: a millisecond for each. To follow a dataset version to everything
that it reached, or to count the runs of all versions, one pass over one kind of tag is
enough. A tracking server hides its database; there, searches have to do.
"""

import json
from collections.abc import Mapping
from functools import cached_property

from lineage.identity import is_elsewhere

TAGS = """
SELECT tags.run_uuid, tags.value
FROM tags
JOIN runs ON runs.run_uuid = tags.run_uuid
JOIN experiments ON experiments.experiment_id = runs.experiment_id
WHERE tags.key = :key
  AND runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active'
ORDER BY runs.start_time, runs.run_uuid
"""


def is_database(uri: str) -> bool:
    """Whether this process opens the store's database itself."""
    from mlflow.store.db.db_types import DATABASE_ENGINES

    return uri.split(":")[0].split("+")[0] in DATABASE_ENGINES


class TagIndex:
    """An index of the hashes in the tags of active runs.

    Attributes:
        uri: Of the store's database.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @cached_property
    def reading(self) -> Mapping[str, list[str]]:
        """Hash -> ids of the runs that read it, oldest first."""
        return self._by_hash("dvc.deps")

    @cached_property
    def writing(self) -> Mapping[str, list[str]]:
        """Hash -> ids of the runs that wrote it, oldest first."""
        return self._by_hash("dvc.outs")

    def _by_hash(self, key: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for run_id, value in self._rows(key):
            hashes = json.loads(value)
            # Those with too many paths for a tag stand under the empty hash.
            for digest in {""} if is_elsewhere(hashes) else set(hashes.values()):
                found.setdefault(digest, []).append(run_id)
        return found

    def _rows(self, key: str) -> list[tuple[str, str]]:
        from sqlalchemy import create_engine, text

        engine = create_engine(self.uri)
        try:
            with engine.connect() as connection:
                return [(row[0], row[1]) for row in connection.execute(text(TAGS), {"key": key})]
        finally:
            engine.dispose()
