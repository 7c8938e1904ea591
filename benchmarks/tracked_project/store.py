"""The MLflow store of a history.

MLflow makes the tables, its own models of them say what a row is, and all rows go in at
once: through the client, 10,000 runs take hours.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.tracked_project.artifacts import Artifacts
from benchmarks.tracked_project.content import FILE
from benchmarks.tracked_project.history import Attempt
from benchmarks.tracked_project.outcome import Outcome
from benchmarks.tracked_project.pipeline import (
    EXPERIMENT,
    MODEL,
    MODEL_NAME,
    REGISTRATION,
    VAL,
)
from benchmarks.tracked_project.repository import ORIGIN
from benchmarks.tracked_project.tables import LOSS_STEPS, STEPS_BETWEEN, Model, Rows, Tables
from lineage import environment
from lineage.identity import canonical_json
from lineage.recording import run_record
from lineage.recording.registration import Registration
from lineage.repository.code import CodeState
from lineage.repository.items import Observed
from lineage.tracking import connection
from lineage.tracking.producer import Status
from lineage.tracking.tags import (
    CANDIDATE,
    COMMIT,
    DATA,
    ERROR,
    EVALUATION,
    INPUT,
    MODEL_HASH,
    OUTPUT,
    RUN,
    SIGNATURE,
    STATUS,
    VERDICT,
    evaluation_tag,
)

USER = "ada"
CHAMPION = "champion"
FAILURE = "the loss is not finite at step 17: lower train.optimizer.learning_rate."
RUNS_AT_ONCE = 500

SYSTEM_METRICS = (
    "cpu_utilization_percentage",
    "disk_available_megabytes",
    "disk_usage_megabytes",
    "disk_usage_percentage",
    "network_receive_megabytes",
    "network_transmit_megabytes",
    "system_memory_usage_megabytes",
    "system_memory_usage_percentage",
)


@dataclass(frozen=True)
class Version:
    """A version of the registered model.

    Attributes:
        number: From 1.
        run_id: The run that trained it.
        registration: What its register stage said.
    """

    number: int
    run_id: str
    registration: Registration


def write_store(
    uri: str, root: Path, attempts: Sequence[Attempt], commits: Sequence[str], seed: int
) -> Version:
    """Make the store, and the artifacts that lineage is read from.

    Args:
        uri: Of a sqlite file that does not exist yet.
        root: The repository.
        attempts: The runs, oldest first.
        commits: Hashes of the commits that they name.
        seed: For ids.

    Returns:
        The champion.
    """
    environment.send_nothing()
    import mlflow
    from sqlalchemy import create_engine

    client = mlflow.MlflowClient(uri, uri)
    artifacts = Artifacts(root / "mlartifacts")
    experiment = client.create_experiment(EXPERIMENT, artifacts.uri, tags=connection.TRAINING_UI)
    rows = Rows()
    store = _Runs(rows, int(experiment), artifacts, commits, random.Random(seed))
    engine = create_engine(uri)
    with engine.begin() as database:
        for number, attempt in enumerate(attempts, start=1):
            store.add_run(attempt)
            if number % RUNS_AT_ONCE == 0:
                rows.insert(database)
        champion = store.add_registered_model()
        rows.insert(database)
    engine.dispose()
    return champion


class _Runs:
    """Adds rows as MLflow's client and the recording side of lineage would, run by run."""

    def __init__(
        self,
        rows: Rows,
        experiment: int,
        artifacts: Artifacts,
        commits: Sequence[str],
        rng: random.Random,
    ) -> None:
        from mlflow.store.model_registry.dbmodels import models as registry
        from mlflow.store.tracking.dbmodels import models as tracked

        self._tracked, self._registry = tracked, registry
        self._rows = rows
        self._experiment = experiment
        self._artifacts = artifacts
        self._commits = commits
        self._rng = rng
        self._tables = Tables(rows, experiment, artifacts, rng)
        self._datasets: dict[str, str] = {}
        self._models: dict[str, Model] = {}
        self._versions: list[Version] = []
        self._registered_ms: list[int] = []

    def add_run(self, attempt: Attempt) -> None:
        """A run with all that hangs on it."""
        run_id = self._tables.new_id()
        outcome, observed = attempt.outcome, attempt.outcome.observed
        if attempt.failed:
            execution = replace(observed.execution, outs={})
            observed = replace(observed, execution=execution, outs=())
        commit = self._commits[attempt.commit]
        revision = CodeState(commit, attempt.branch, attempt.dirty, attempt.experiment, ORIGIN)
        self._rows.add(
            self._tracked.SqlRun,
            run_uuid=run_id,
            name=outcome.stage.name,
            source_type="UNKNOWN",
            source_name="",
            entry_point_name="",
            user_id=USER,
            status="FAILED" if attempt.failed else "FINISHED",
            start_time=attempt.start_s * 1000,
            end_time=attempt.end_s * 1000,
            source_version="",
            artifact_uri=f"{self._artifacts.uri}/{run_id}/artifacts",
            experiment_id=self._experiment,
        )
        self._add_datasets(run_id, outcome, observed, revision)
        self._add_models(run_id, attempt, observed, revision)
        tags = {
            **run_record.identity_tags(observed),
            **run_record.code_tags(revision),
            **_source_tags(attempt, commit),
        }
        if attempt.failed:
            tags |= {ERROR: FAILURE, "mlflow.note.content": FAILURE}
        else:
            self._add_metrics(run_id, attempt)
            self._artifacts.write(run_id, outcome, revision)
        if REGISTRATION in outcome.outs:
            version = self._add_version(attempt)
            verdict = version.registration.verdict
            tags |= {"verdict": verdict, "model": f"models:/{MODEL_NAME}/{version.number}"}
        for key, value in tags.items():
            self._rows.add(self._tracked.SqlTag, run_uuid=run_id, key=key, value=value)
        for key, value in run_record.flat_params(observed).items():
            self._rows.add(self._tracked.SqlParam, run_uuid=run_id, key=key, value=value)

    def add_registered_model(self) -> Version:
        """The registered model with its aliases, once all its versions are there.

        Returns:
            The champion: the best of those that were accepted, or of all where none was.
        """
        champion = max(
            self._versions,
            key=lambda version: (
                version.registration.verdict == "accepted",
                version.registration.metrics["AP"],
            ),
        )
        self._rows.add(
            self._registry.SqlRegisteredModel,
            name=MODEL_NAME,
            creation_time=self._registered_ms[0],
            last_updated_time=self._registered_ms[-1],
        )
        for alias, version in ((CANDIDATE, self._versions[-1]), (CHAMPION, champion)):
            self._rows.add(
                self._registry.SqlRegisteredModelAlias,
                name=MODEL_NAME,
                alias=alias,
                version=version.number,
            )
        return champion

    def _add_datasets(
        self, run_id: str, outcome: Outcome, observed: Observed, revision: CodeState
    ) -> None:
        read = [item for item in observed.deps if item.kind != "code"]
        written = [item for item in observed.outs if item.kind == "dataset"]
        contexts = {
            **{i.path: INPUT if i.kind == "dataset" else i.kind for i in read},
            **{item.path: OUTPUT for item in written},
            **outcome.stage.contexts,
        }
        for item in (*read, *written):
            if item.hash not in self._datasets:
                self._datasets[item.hash] = self._tables.add_dataset(item, outcome)
            link = self._tables.link("DATASET", self._datasets[item.hash], "RUN", run_id)
            tags = {"mlflow.data.context": contexts[item.path], COMMIT: revision.commit}
            for name, value in tags.items():
                self._rows.add(self._tracked.SqlInputTag, input_uuid=link, name=name, value=value)

    def _add_models(
        self, run_id: str, attempt: Attempt, observed: Observed, revision: CodeState
    ) -> None:
        for item in observed.deps:
            if item.kind == "model":
                self._tables.link("RUN_INPUT", run_id, "MODEL_INPUT", self._models[item.hash].id)
        for item in observed.outs:
            if item.kind == "model":
                if item.hash not in self._models:
                    model = Model(
                        f"m-{self._tables.new_id()}", run_id, revision.commit, attempt.outcome
                    )
                    self._models[item.hash] = model
                    self._tables.add_model(model, item, attempt.end_s * 1000)
                self._tables.link("RUN_OUTPUT", run_id, "MODEL_OUTPUT", self._models[item.hash].id)

    def _add_metrics(self, run_id: str, attempt: Attempt) -> None:
        outcome, end_ms = attempt.outcome, attempt.end_s * 1000
        match outcome.stage.name:
            case "train":
                self._tables.add_losses(
                    run_id, outcome.metrics["train/loss"], attempt.start_s * 1000
                )
                self._tables.add_points(run_id, outcome.metrics, end_ms, LOSS_STEPS * STEPS_BETWEEN)
                system = {f"system/{name}": self._rng.uniform(0, 100) for name in SYSTEM_METRICS}
                self._tables.add_points(run_id, system, end_ms, 0)
                model = self._models[outcome.outs[MODEL].hash]
                self._tables.add_model_points(model, run_id, system, end_ms)
            case "evaluate":
                read = outcome.observed.execution.deps
                self._tables.add_points(run_id, outcome.metrics, end_ms, 0)
                model, digest = self._models[read[MODEL]], read[VAL]
                on = self._datasets[digest], digest
                self._tables.add_model_points(model, run_id, outcome.metrics, end_ms, on)
            case _:
                self._tables.add_points(run_id, outcome.metrics, end_ms, 0)

    def _add_version(self, attempt: Attempt) -> Version:
        text = attempt.outcome.outs[REGISTRATION].files[FILE]
        said = Registration(**json.loads(text))
        model = self._models[said.model_digest]
        train = model.train.observed
        version = Version(len(self._versions) + 1, model.run_id, said)
        self._versions.append(version)
        time_ms = attempt.end_s * 1000
        self._registered_ms.append(time_ms)
        self._rows.add(
            self._registry.SqlModelVersion,
            name=MODEL_NAME,
            version=version.number,
            creation_time=time_ms,
            last_updated_time=time_ms,
            source=f"models:/{model.id}",
            storage_location=self._tables.artifacts_of(model),
            run_id=model.run_id,
        )
        tags = {
            MODEL_HASH: said.model_digest,
            VERDICT: said.verdict,
            EVALUATION: said.evaluation_digest,
            evaluation_tag(said.evaluation_digest): canonical_json(said.metrics),
            DATA: canonical_json(
                {item.path: item.hash for item in train.deps if item.kind != "code"}
            ),
            SIGNATURE: train.execution.signature,
            STATUS: Status.RECORDED.value,
            RUN: model.run_id,
            COMMIT: model.commit,
        }
        for key, value in tags.items():
            self._rows.add(
                self._registry.SqlModelVersionTag,
                name=MODEL_NAME,
                version=version.number,
                key=key,
                value=value,
            )
        of = [{"name": MODEL_NAME, "version": version.number}]
        self._tables.tag_model(model, "mlflow.modelVersions", json.dumps(of))
        return version


def _source_tags(attempt: Attempt, commit: str) -> dict[str, str]:
    """As `run_record.source_tags`, and those of the stage."""
    stage = attempt.outcome.stage
    return {
        "mlflow.user": USER,
        "mlflow.source.name": stage.name,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.branch": attempt.branch,
        "mlflow.source.git.repoURL": ORIGIN,
        "mlflow.runName": stage.name,
        **stage.tags,
    }
