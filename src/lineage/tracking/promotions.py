"""Promotions: which version an alias was given, when, by whom and why, as the registry keeps it.

Each is a tag of the registered model under a key of its own, its time and some random digits, so
that two at once both stay, and nobody's replaces another's.
"""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lineage.answer import Answer, plain
from lineage.errors import LineageError
from lineage.identity import canonical_json
from lineage.tracking import outside
from lineage.tracking.outside import PassedOver
from lineage.tracking.tags import PROMOTION_PREFIX, REGISTRY_TAG_LIMIT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

    from lineage.tracking.no_store import NoStore


@dataclass(frozen=True)
class Promotion(Answer):
    """An alias that was given to a version.

    Attributes:
        at: When, in UTC.
        alias: Which.
        version: The number of the version; empty where the alias was taken away.
        before: That of the version which had it before; empty where none had.
        by: Who, as MLflow knows users.
        why: In a sentence.
        data: The DVC hash of the dataset that the metrics are of; empty without any.
        metrics: Number of a version -> what was compared.
    """

    at: datetime
    alias: str
    version: str
    before: str
    by: str
    why: str
    data: str = ""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Promoted:
    """A registered model, as far as promotions go.

    Attributes:
        name: The model's.
        aliases: Alias -> number of the version that has it now.
        promotions: All that were written down, oldest first.
    """

    name: str
    aliases: Mapping[str, str]
    promotions: tuple[Promotion, ...]

    def of(self, alias: str) -> list[Promotion]:
        """Those of one alias."""
        return [each for each in self.promotions if each.alias == alias]


def promoted(client: "MlflowClient | NoStore", name: str, passed: PassedOver) -> Promoted | None:
    """What a registry knows of a model's aliases; None where it has no such model.

    Args:
        client: MLflow's client of the store.
        name: The registered model.
        passed: Told of promotions that are malformed.
    """
    from mlflow.exceptions import MlflowException  # takes seconds

    try:
        model: RegisteredModel = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
    found: list[tuple[datetime, str, Promotion]] = []
    for key, text in model.tags.items():
        if key.startswith(PROMOTION_PREFIX):
            nothing: dict[str, Any] = {}
            subject = f"the registered model {name}"
            said = passed.checked(outside.promotion, text, subject, f"its tag {key}", nothing)
            if said:
                found.append((said["at"], key, Promotion(**said)))
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return Promoted(
        name, aliases, tuple(each for _, _, each in sorted(found, key=lambda it: it[:2]))
    )


def write_down(client: "MlflowClient", name: str, promotion: Promotion) -> None:
    """Add a promotion to those of a registered model.

    Raises:
        LineageError: If it says more than every database takes.
    """
    text = canonical_json(plain(asdict(promotion)))
    if len(text) > REGISTRY_TAG_LIMIT:
        raise LineageError(
            f"a promotion of {name} takes {len(text)} characters, of which MLflow's databases keep"
            f" {REGISTRY_TAG_LIMIT}: say why in fewer words."
        )
    stamp = promotion.at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    key = f"{PROMOTION_PREFIX}{stamp}-{uuid.uuid4().hex[:8]}"
    client.set_registered_model_tag(name, key, text)
