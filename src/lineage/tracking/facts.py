"""What is known of runs and of model versions: values, read from what MLflow keeps."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lineage.tracking.dataset_inputs import datasets_of
from lineage.tracking.tags import BACKFILLED

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class RunFacts:
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
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    experiment: str = ""
    repository: str = ""
    backfilled: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    ended: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "status": self.status,
            "started": self.started.isoformat(),
            "ended": self.ended.isoformat() if self.ended else None,
            "commit": self.commit,
            "branch": self.branch,
            "dirty": self.dirty,
            "experiment": self.experiment,
            "repository": self.repository,
            "backfilled": self.backfilled,
            "metrics": dict(self.metrics),
            "contexts": dict(self.contexts),
        }


@dataclass(frozen=True)
class VersionNode:
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "id": self.id,
            "type": "model version",
            "name": self.name,
            "version": self.version,
            "hash": self.hash,
            "aliases": list(self.aliases),
            "verdict": self.verdict,
            "metrics": dict(self.metrics),
            "evaluated_on": self.evaluated_on,
            "run": self.run_id,
            "data": dict(self.data),
        }


SYSTEM_METRICS = "system/"


def facts_of(run: "Run") -> RunFacts:
    """What is shown of a run."""
    tags = run.data.tags
    return RunFacts(
        id=run.info.run_id,
        status=run.info.status,
        started=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        ended=datetime.fromtimestamp(run.info.end_time / 1000, UTC) if run.info.end_time else None,
        commit=tags.get("git.commit", ""),
        branch=tags.get("git.branch", ""),
        dirty=tags.get("git.dirty") == "true",
        experiment=tags.get("dvc.exp.name", ""),
        repository=tags.get("git.repository", ""),
        backfilled=tags.get(BACKFILLED) == "true",
        metrics={
            name: value
            for name, value in sorted(run.data.metrics.items())
            if not name.startswith(SYSTEM_METRICS)
        },
        contexts={dataset.name: context for dataset, context in datasets_of(run)},
    )
