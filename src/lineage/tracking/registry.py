"""The versions of all registered models."""

from functools import cached_property
from typing import TYPE_CHECKING

from lineage.tracking.connection import pages
from lineage.tracking.facts import VersionNode
from lineage.tracking.models import evaluation, logged_models
from lineage.tracking.tag_values import json_object
from lineage.tracking.tags import DATA, EVALUATION, MODEL_HASH, RUN, VERDICT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


DIGITS_OF_A_VERSION = 9
"""Databases refuse numbers of more than 32 bits."""


class Registry:
    """The versions of all registered models.

    Attributes:
        client: MLflow's client of the store.
    """

    def __init__(self, client: "MlflowClient") -> None:
        self.client = client

    @cached_property
    def versions(self) -> list[VersionNode]:
        """Every version of every model."""
        found = pages(self.client.search_model_versions, max_results=1000)
        return [self._node(version) for version in found]

    def made_of(self, digest: str) -> list[VersionNode]:
        """Versions whose files have this hash."""
        return [version for version in self.versions if version.hash == digest]

    def of_run(self, run_id: str) -> list[VersionNode]:
        """Versions that a run registered by itself, so that no DVC hash is known of them."""
        return [each for each in self.versions if each.run_id == run_id and not each.hash]

    def logged(self, digest: str) -> list[str]:
        """Ids of the logged models that were made of these files."""
        return [str(model.model_id) for model in logged_models(self.client, digest)]

    def find(self, name: str, version: str) -> VersionNode | None:
        """One version, by number or, with a leading ``@``, by alias; None if there is none."""
        from mlflow.exceptions import MlflowException

        if version.isdecimal() and len(version) > DIGITS_OF_A_VERSION:
            return None
        try:
            if version.startswith("@"):
                found = self.client.get_model_version_by_alias(name, version[1:])
            else:
                found = self.client.get_model_version(name, version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._node(found)

    def names(self) -> list[str]:
        """The names of all registered models."""
        return sorted(self._aliases)

    @cached_property
    def _aliases(self) -> dict[str, dict[str, list[str]]]:
        """Model -> version -> aliases."""
        aliases: dict[str, dict[str, list[str]]] = {}
        for model in pages(self.client.search_registered_models):
            of_model = aliases.setdefault(model.name, {})
            for alias, version in model.aliases.items():
                of_model.setdefault(str(version), []).append(alias)
        return aliases

    def _node(self, version: "ModelVersion") -> VersionNode:
        tags = version.tags
        evaluated_on = tags.get(EVALUATION, "")
        aliases = self._aliases.get(version.name, {}).get(str(version.version), [])
        digest = tags.get(MODEL_HASH) or self._hash_of_logged_model(version)
        return VersionNode(
            name=version.name,
            version=str(version.version),
            hash=digest,
            aliases=tuple(sorted(aliases)),
            verdict=tags.get(VERDICT, ""),
            metrics=(evaluation(version, evaluated_on) or {}) if evaluated_on else {},
            evaluated_on=evaluated_on,
            run_id=tags.get(RUN) or version.run_id or "",
            data=json_object(
                tags.get(DATA, "{}"),
                f"the tag {DATA} of models:/{version.name}/{version.version}",
            ),
        )

    def _hash_of_logged_model(self, version: "ModelVersion") -> str:
        """For a version that a user registered from a model that a stage logged."""
        from mlflow.exceptions import MlflowException

        if not version.model_id:
            return ""
        try:
            tags = self.client.get_logged_model(version.model_id).tags
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return ""
            raise
        return str(tags.get(MODEL_HASH, ""))
