"""The versions of all registered models."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from lineage.storage.admit import is_hash
from lineage.tracking import outside
from lineage.tracking.connection import all_experiment_ids, pages
from lineage.tracking.facts import VersionNode
from lineage.tracking.outside import PassedOver
from lineage.tracking.search import IDS_A_QUESTION
from lineage.tracking.tags import (
    DATA,
    EVALUATION,
    MODEL_HASH,
    RUN,
    SIGNATURE,
    VERDICT,
    evaluation_tag,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from lineage.tracking.no_store import NoStore


DIGITS_OF_A_VERSION = 9
"""Databases refuse numbers of more than 32 bits."""

_LOGGED_MODEL = re.compile(r"(?:models:/|.*/models/)(m-[0-9a-f]{32})(?:/.*)?")
_OTHER_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>[0-9]+)")
"""How the source of a version names the model, or the version, that it was registered from."""


class Registry:
    """The versions of all registered models.

    Attributes:
        client: MLflow's client of the store.
        passed: Told of tags that are malformed.
    """

    def __init__(self, client: "MlflowClient | NoStore", passed: PassedOver | None = None) -> None:
        self.client = client
        self.passed = passed or PassedOver()
        self._models: dict[str, list[LoggedModel]] = {}

    @cached_property
    def versions(self) -> list[VersionNode]:
        """Every version of every model."""
        found = list(pages(self.client.search_model_versions, max_results=1000))
        return self._with_hashes(found, [self._node(version) for version in found])

    def made_of(self, digest: str) -> list[VersionNode]:
        """Versions whose files have this hash."""
        return self._by_hash.get(digest, [])

    @cached_property
    def _by_hash(self) -> dict[str, list[VersionNode]]:
        found: dict[str, list[VersionNode]] = {}
        for version in self.versions:
            found.setdefault(version.hash, []).append(version)
        return found

    def of_run(self, run_id: str) -> list[VersionNode]:
        """Versions that a run registered by itself, so that no DVC hash is known of them."""
        return [each for each in self._by_hash.get("", []) if each.run_id == run_id]

    def logged(self, digest: str) -> list[str]:
        """Ids of the logged models that were made of these files."""
        self.ask_for_logged([digest])
        return [str(model.model_id) for model in self._models[digest]]

    def ask_for_logged(self, digests: Iterable[str]) -> None:
        """Look up the logged models that were made of these, many in a question."""
        new = [digest for digest in dict.fromkeys(digests) if digest not in self._models]
        self._models.update({digest: [] for digest in new})
        asked = [digest for digest in new if is_hash(digest)]
        for model in self._logged_models(f"tags.`{MODEL_HASH}`", asked):
            self._models[model.tags[MODEL_HASH]].append(model)

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
        node = self._node(found)
        if not node.hash and _source_of(found):
            # Where it comes from may be another version, of which all have to be looked at.
            return next((each for each in self.versions if each.id == node.id), node)
        return node

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
        subject = f"models:/{version.name}/{version.version}"
        tags = outside.tags(version.tags, subject, self.passed)
        evaluated_on = tags.get(EVALUATION, "")
        measured = tags.get(evaluation_tag(evaluated_on), "{}") if evaluated_on else "{}"
        aliases = self._aliases.get(version.name, {}).get(str(version.version), [])
        return VersionNode(
            name=version.name,
            version=str(version.version),
            hash=tags.get(MODEL_HASH, ""),
            aliases=tuple(sorted(aliases)),
            verdict=tags.get(VERDICT, ""),
            metrics=self.passed.checked(
                outside.metrics, measured, subject, f"its tag {evaluation_tag(evaluated_on)}", {}
            ),
            evaluated_on=evaluated_on,
            run_id=tags.get(RUN) or ("" if SIGNATURE in tags else self._run_of(version, subject)),
            data=self.passed.checked(
                outside.hashes, tags.get(DATA, "{}"), subject, f"its tag {DATA}", {}
            ),
        )

    def _run_of(self, version: "ModelVersion", subject: str) -> str:
        """The run that MLflow itself names, which of a model that others made too may be theirs."""
        return self.passed.checked(outside.run_id, version.run_id or "", subject, "its run", "")

    def _with_hashes(
        self, versions: "list[ModelVersion]", nodes: list[VersionNode]
    ) -> list[VersionNode]:
        """The versions, with the hashes of those that users registered from others by hand.

        Neither a version of a logged model nor a copy of a version has a tag of its own that
        says so: their sources are followed.
        """
        by_id = {node.id: node for node in nodes}
        sources = {
            node.id: _source_of(version)
            for version, node in zip(versions, nodes, strict=True)
            if not node.hash
        }
        ends = {}
        for start in sources:
            end, seen = start, {start}
            while (source := sources.get(end, "")) in by_id and source not in seen:
                seen.add(source)
                end = source
            ends[start] = end
        asked = {source for source in sources.values() if source.startswith("m-")}
        hashes = {
            str(model.model_id): self._hash_of(model)
            for model in self._logged_models("model_id", sorted(asked))
        }

        def hash_of(node: VersionNode) -> str:
            end = ends.get(node.id, node.id)
            return by_id[end].hash or hashes.get(sources.get(end, ""), "")

        return [replace(node, hash=hash_of(node)) for node in nodes]

    def _hash_of(self, model: "LoggedModel") -> str:
        subject = f"models:/{model.model_id}"
        return self.passed.checked(
            outside.model_hash, model.tags, subject, f"its tag {MODEL_HASH}", ""
        )

    def _logged_models(self, what: str, values: list[str]) -> "list[LoggedModel]":
        """Logged models of which something is one of these, which hold no quotes."""
        found: list[LoggedModel] = []
        for start in range(0, len(values), IDS_A_QUESTION):
            listed = ", ".join(f"'{each}'" for each in values[start : start + IDS_A_QUESTION])
            found += pages(
                self.client.search_logged_models,
                experiment_ids=self._experiments,
                filter_string=f"{what} IN ({listed})",
            )
        return [model for model in found if str(model.status) == "READY"]

    @cached_property
    def _experiments(self) -> list[str]:
        return all_experiment_ids(self.client)


def _source_of(version: "ModelVersion") -> str:
    """The id of the logged model, or of the version, that one was made of; else empty."""
    source = str(version.source or "")
    for named in (f"models:/{version.model_id}", source):
        logged = _LOGGED_MODEL.fullmatch(named)
        if logged:
            return logged[1]
    return source if _OTHER_VERSION.fullmatch(source) else ""
