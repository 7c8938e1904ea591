"""Versions of a registered model, from what a pipeline decided about it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError
from lineage.identity import DataId, canonical_json
from lineage.project import Project
from lineage.recording.backfill import ensure_recorded_model
from lineage.tracking import models, tags

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LABEL = "registration"
"""Label, in ``dvc.yaml``, of the output that holds a `Registration`."""


@dataclass(frozen=True)
class Registration:
    """A pipeline's word on a model, as a file among its outputs.

    Computed from files alone, so it is the same whichever server is in use; making the
    version that it speaks of is repeatable, see `register`.

    Attributes:
        model_name: The registered model's name.
        model_path: Where the model's files are, relative to the repository root.
        model_digest: Their DVC hash.
        evaluation_path: The dataset that it was evaluated on.
        evaluation_digest: The DVC hash of that.
        metrics: What the evaluation gave.
        thresholds: Metric -> the least that is accepted.
        verdict: ``accepted`` or ``rejected``.
        reasons: A sentence for each threshold that was missed.
    """

    model_name: str
    model_path: str
    model_digest: str
    evaluation_path: str
    evaluation_digest: str
    metrics: Mapping[str, float]
    thresholds: Mapping[str, float]
    verdict: str
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The file's content, as `read` takes it."""
        return {**asdict(self), "reasons": list(self.reasons)}

    @classmethod
    def read(cls, path: Path) -> "Registration":
        """Read the file that a stage wrote.

        Raises:
            LineageError: If it is not such a file.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**values, "reasons": tuple(values["reasons"])})
        except (ValueError, TypeError, KeyError) as error:
            raise LineageError(
                f"{path} carries the label {LABEL!r} in dvc.yaml but holds no registration:"
                f" {error}; write it with lineage.Registration."
            ) from error


def register(
    project: Project, registration: Registration, *, is_newest: bool = True
) -> "ModelVersion":
    """Make sure that the version exists, tagged with what it was made of, as the candidate.

    May run any number of times, on any server: one version per model hash.

    Args:
        project: A clone of the repository that the model belongs to, and its store.
        registration: What its pipeline decided.
        is_newest: Make it the candidate even if there is another one.

    Raises:
        LineageError: If MLflow has no such model, and none can be made of the files.
    """
    client = project.client
    data = DataId(registration.model_path, registration.model_digest)
    model_id = ensure_recorded_model(project, data)
    if model_id is None:
        raise LineageError(
            f"MLflow has no model made of {data.path} ({data.hash}),"
            " and none can be made of it: write it with `mlflow.<flavor>.save_model` or as"
            " .safetensors, or install a package with a `lineage.models` entry point for its files."
        )
    found = {
        tags.VERDICT: registration.verdict,
        tags.EVALUATION: registration.evaluation_digest,
        tags.evaluation_tag(registration.evaluation_digest): canonical_json(
            dict(registration.metrics)
        ),
        **_origin(project, data),
    }
    name = registration.model_name
    version = models.ensure_version(client, name, data.hash, model_id, found)
    if is_newest or tags.CANDIDATE not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, tags.CANDIDATE, version.version)
    project.forget_store()
    return client.get_model_version(name, version.version)


def _origin(project: Project, data: DataId) -> dict[str, str]:
    """What made the model: the data, the code and the run, as tags of its version."""
    stage = project.history.producer(data)
    if stage is None:
        return {}
    read = {dep.path: dep.hash for dep in stage.deps if dep.kind != "code"}
    found = {tags.DATA: canonical_json(read), tags.SIGNATURE: stage.execution.signature}
    repository = project.repository_url
    if repository:
        found[tags.REPOSITORY] = repository
    resolution = project.runs.resolve(stage.execution)
    found[tags.STATUS] = resolution.status.value
    if resolution.producer is not None:
        found[tags.RUN] = resolution.producer.info.run_id
        commit = resolution.producer.data.tags.get(tags.COMMIT)
        if commit:
            found[tags.COMMIT] = commit
    return found
