"""What is known of runs and of model versions: values, read from what MLflow keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from lineage.answer import Answer
from lineage.errors import bare_url
from lineage.tracking.dataset_inputs import datasets_of
from lineage.tracking.tags import BACKFILLED, BRANCH, COMMIT, DIRTY, EXPERIMENT, REPOSITORY

if TYPE_CHECKING:
    from mlflow.entities import Run


SYSTEM_METRICS = "system/"
"""How the names of MLflow's own measurements of the machine begin."""


@dataclass(frozen=True)
class RunFacts(Answer):
    """An MLflow run, as far as lineage asks for it.

    Attributes:
        id: Of the run.
        status: MLflow's, such as ``FINISHED``.
        started: When, in UTC.
        ended: When, in UTC; None while it runs, or where its process was killed.
        commit: The git commit that it ran on; empty where unknown.
        branch: The branch, or empty.
        dirty: Whether code differed from the commit.
        experiment: The DVC experiment that it was part of, or empty.
        repository: The URL of the git repository that it ran in; empty where unknown.
        backfilled: Whether it was written down later, by ``lineage sync``.
        metrics: Without the system's.
        contexts: Path of a dataset -> the context that it was logged with.
    """

    id: str
    status: str
    started: datetime
    ended: datetime | None = None
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    experiment: str = ""
    repository: str = ""
    backfilled: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VersionNode(Answer):
    """A version of a registered model.

    Attributes:
        name: The registered model.
        version: Its number.
        hash: The DVC hash of the model's files; empty where nothing recorded it.
        aliases: That point to it now.
        verdict: What its pipeline decided, or empty.
        metrics: Of its last evaluation.
        evaluated_on: The DVC hash of the dataset of that evaluation, or empty.
        run_id: The run that MLflow or the bridge says it came from, or empty.
        data: Path -> hash of the data that its model was made of, as its tags say.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "id",
        "type",
        "name",
        "version",
        "hash",
        "aliases",
        "verdict",
        "metrics",
        "evaluated_on",
        "run=run_id",
        "data",
    )
    type: ClassVar[str] = "model version"

    name: str
    version: str
    hash: str
    aliases: tuple[str, ...] = ()
    verdict: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    evaluated_on: str = ""
    run_id: str = ""
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique in a graph, and a REF."""
        return f"models:/{self.name}/{self.version}"


def facts_of(run: "Run") -> RunFacts:
    """What is shown of a run."""
    tags = run.data.tags
    return RunFacts(
        id=run.info.run_id,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        ended=datetime.fromtimestamp(run.info.end_time / 1000, UTC) if run.info.end_time else None,
        commit=tags.get(COMMIT, ""),
        branch=tags.get(BRANCH, ""),
        dirty=tags.get(DIRTY) == "true",
        experiment=tags.get(EXPERIMENT, ""),
        repository=bare_url(tags.get(REPOSITORY, "")),
        backfilled=tags.get(BACKFILLED) == "true",
        metrics={
            name: value
            for name, value in sorted(run.data.metrics.items())
            if not name.startswith(SYSTEM_METRICS)
        },
        contexts={dataset.name: context for dataset, context in datasets_of(run)},
    )
