"""Versions of a registered model, from what a pipeline decided about it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lineage.errors import LineageError
from lineage.identity import DataId, canonical_json
from lineage.project import Project
from lineage.recording import sayings
from lineage.recording.backfill import ensure_recorded_model, origin_tags
from lineage.recording.decision import LABEL, Registration
from lineage.recording.sayings import Saying
from lineage.recording.spooling import answering
from lineage.repository.whose import Whose
from lineage.tracking import models, tags

__all__ = ["LABEL", "Registration", "register"]

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def register(
    project: Project, registration: Registration, *, said: Saying | None = None
) -> "ModelVersion":
    """Make sure that the version exists, tagged with what it was made of, as the candidate.

    May run any number of times, in any order of revisions, on any server: one version per model
    hash of this repository. What it was made of is written once. Its verdict and which version is
    the candidate are as the newest revision says, of all that were ever registered.

    Args:
        project: A clone of the repository that the model belongs to, and its store.
        registration: What its pipeline decided.
        said: When; now by default, unless the checked-out commit says the same.

    Raises:
        AwayError: In a stage, if the store does not answer; `lineage sync` registers it then.
        LineageError: If MLflow has no such model, and none can be made of the files.
    """
    with answering(project, f"the version of {registration.model_name}"):
        return _register(project, registration, said)


def _register(project: Project, registration: Registration, said: Saying | None) -> "ModelVersion":
    client, name = project.client, registration.model_name
    data = DataId(registration.model_path, registration.model_digest)
    model_id = ensure_recorded_model(project, data)
    if model_id is None:
        raise LineageError(
            f"MLflow has no model made of {data.path} ({data.hash}),"
            " and none can be made of it: write it with `mlflow.<flavor>.save_model` or as"
            " .safetensors, or install a package with a `lineage.models` entry point for its files."
        )
    said = said or sayings.of_working_tree(project, registration)
    version = models.find_version(client, name, data.hash, lambda found: _is_ours(project, found))
    recorded = dict(version.tags) if version else {}
    lacking = {} if tags.RUN in recorded else origin_tags(project, data)
    lacking |= _decision(project, registration, said, version)
    if version is None:
        version = models.create_version(client, name, data.hash, model_id, lacking)
    else:
        models.set_tags(client, version, lacking)
    if sayings.is_newest(project, said, _candidate(project, name)):
        client.set_registered_model_alias(name, tags.CANDIDATE, version.version)
    project.forget_store()
    return client.get_model_version(name, version.version)


def add_evaluation(
    project: Project, version: "ModelVersion", digest: str, metrics: Mapping[str, float]
) -> None:
    """Write down of a version what a further evaluation gave, beside what is known already.

    Args:
        project: The repository of the version, and its store.
        version: As MLflow has it.
        digest: The DVC hash of the dataset.
        metrics: On it.
    """
    tag = tags.evaluation_tag(digest)
    known = models.evaluation(version, digest) or {}
    said = sayings.of_version(project, version) | {tag: Saying(datetime.now(UTC))}
    found = {tag: canonical_json({**known, **metrics}), tags.SAID: sayings.as_tag(said)}
    models.set_tags(project.client, version, found)
    project.forget_store()


def _is_ours(project: Project, version: "ModelVersion") -> bool:
    """Whether a version is of this repository; another's has its own verdict and run."""
    return project.runs.whose_tags(version.tags) is Whose.OURS


def _decision(
    project: Project, registration: Registration, said: Saying, version: "ModelVersion | None"
) -> dict[str, str]:
    """The tags of what was decided, but for what a newer revision decided otherwise."""
    digest = registration.evaluation_digest
    evaluation = tags.evaluation_tag(digest)
    recorded = sayings.of_version(project, version) if version else {}
    earlier = dict(recorded)
    found: dict[str, str] = {}
    if sayings.is_newest(project, said, earlier.get(tags.VERDICT)):
        found |= {tags.VERDICT: registration.verdict, tags.EVALUATION: digest}
        earlier[tags.VERDICT] = said
    if sayings.is_newest(project, said, earlier.get(evaluation)):
        found[evaluation] = canonical_json(dict(registration.metrics))
        earlier[evaluation] = said
    if version and not said.commit and _says_so_already(project, version, recorded, found):
        return {}
    return {**found, tags.SAID: sayings.as_tag(earlier)} if found else {}


def _says_so_already(
    project: Project,
    version: "ModelVersion",
    recorded: Mapping[str, Saying],
    found: Mapping[str, str],
) -> bool:
    """Whether a working tree said the same before, and nobody anything of the model since."""
    is_same = all(
        version.tags.get(name) == value and (name not in recorded or not recorded[name].commit)
        for name, value in found.items()
    )
    return is_same and _number_of_candidate(project, version.name) == str(version.version)


def _number_of_candidate(project: Project, name: str) -> str | None:
    number = project.client.get_registered_model(name).aliases.get(tags.CANDIDATE)
    return None if number is None else str(number)


def _candidate(project: Project, name: str) -> Saying | None:
    """When the present candidate got its verdict; None where there is none, or it has none."""
    number = _number_of_candidate(project, name)
    if number is None:
        return None
    candidate = project.client.get_model_version(name, number)
    return sayings.of_version(project, candidate).get(tags.VERDICT)
