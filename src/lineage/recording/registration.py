"""Versions of a registered model, from what a pipeline decided about it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.errors import LineageError
from lineage.identity import canonical_json
from lineage.recording.backfill import ensure_recorded_model, producer_of
from lineage.repository.code import repository_url
from lineage.repository.items import Item
from lineage.repository.workspace import Workspace
from lineage.tracking import models
from lineage.tracking.producer import resolve
from lineage.tracking.tags import CANDIDATE, EVALUATION, evaluation_tag

if TYPE_CHECKING:
    from mlflow import MlflowClient
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
        """For JSON."""
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
    client: "MlflowClient",
    workspace: Workspace,
    registration: Registration,
    *,
    is_newest: bool = True,
) -> "ModelVersion":
    """Make sure that the version exists, tagged with what it was made of, as the candidate.

    May run any number of times, on any server: one version per model hash.

    Args:
        client: Of the store.
        workspace: A clone of the repository that the model belongs to.
        registration: What its pipeline decided.
        is_newest: Make it the candidate even if there is another one.

    Raises:
        LineageError: If MLflow has no such model, and none can be made of the files.
    """
    item = Item(
        path=registration.model_path,
        location=workspace.git_root / registration.model_path,
        hash=registration.model_digest,
        kind="model",
        labels=(),
        size_bytes=0,
        files=0,
    )
    model_id = ensure_recorded_model(client, workspace, item)
    if model_id is None:
        raise LineageError(
            f"MLflow has no model made of {registration.model_path} ({registration.model_digest}),"
            " and none can be made of it: write it with `mlflow.<flavor>.save_model` or as"
            " .safetensors, or install a package with a `lineage.models` entry point for its files."
        )
    tags = {
        "verdict": registration.verdict,
        EVALUATION: registration.evaluation_digest,
        evaluation_tag(registration.evaluation_digest): canonical_json(dict(registration.metrics)),
        **_origin(client, workspace, item),
    }
    name = registration.model_name
    version = models.ensure_version(client, name, item.hash, model_id, tags)
    if is_newest or CANDIDATE not in client.get_registered_model(name).aliases:
        client.set_registered_model_alias(name, CANDIDATE, version.version)
    return client.get_model_version(name, version.version)


def _origin(client: "MlflowClient", workspace: Workspace, item: Item) -> dict[str, str]:
    """What made the model: the data, the code and the run, as tags of its version."""
    stage = producer_of(workspace, item)
    if stage is None:
        return {}
    data = {dep.path: dep.hash for dep in stage.deps if dep.kind != "code"}
    tags = {"dvc.data": canonical_json(data), "dvc.signature": stage.execution.signature}
    repository = repository_url(workspace)
    if repository:
        tags["git.repository"] = repository
    found = resolve(client, stage.execution)
    tags["lineage.status"] = found.status.value
    if found.producer is not None:
        tags["dvc.run"] = found.producer.info.run_id
        commit = found.producer.data.tags.get("git.commit")
        if commit:
            tags["git.commit"] = commit
    return tags
