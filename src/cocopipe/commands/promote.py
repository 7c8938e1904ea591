"""``cocopipe promote``: whether the candidate takes the champion's place."""

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cocopipe import params
from cocopipe.errors import UserError
from lineage.edge import Said
from lineage.errors import told
from lineage.repository.workspace import Workspace
from lineage.tracking import connection, models
from lineage.tracking.tags import CANDIDATE, EVALUATION, VERDICT

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"


def run(options: argparse.Namespace) -> Said:  # noqa: ARG001 - as every command
    """Decide, move the alias and say why."""
    workspace = Workspace.find()
    register = params.read(workspace.root / "params.yaml").register
    decision = promote(connection.connect(workspace), register.model_name, register.promote_metric)
    return Said(told(f"{'promoted' if decision.promoted else 'kept'}: {decision.reason}") + "\n")


@dataclass(frozen=True)
class Decision:
    """What `promote` did.

    Attributes:
        promoted: Whether the alias moved.
        reason: A sentence: why, or why not.
    """

    promoted: bool
    reason: str


def promote(client: "MlflowClient", name: str, metric: str) -> Decision:
    """Move ``champion`` to the candidate if the metric improves on the same dataset version.

    Args:
        client: The client of the server whose aliases count.
        name: The registered model.
        metric: A metric of the evaluation; more is better.

    Raises:
        UserError: If there is no candidate.
    """
    candidate = _version(client, name, CANDIDATE)
    if candidate is None:
        raise UserError(
            f"no version of {name} has the alias {CANDIDATE}: run `dvc repro`, or `lineage sync`"
            " where its stages are up to date already."
        )
    champion = _version(client, name, CHAMPION)
    decision = _compare(candidate, champion, metric)
    if decision.promoted:
        client.set_registered_model_alias(name, CHAMPION, candidate.version)
    return decision


def _compare(candidate: "ModelVersion", champion: "ModelVersion | None", metric: str) -> Decision:
    this = f"version {candidate.version}"
    if champion is not None and champion.version == candidate.version:
        return Decision(False, f"{this} is the champion already")
    if candidate.tags.get(VERDICT) != "accepted":
        return Decision(False, f"{this} was rejected by the thresholds in params.yaml")
    digest = candidate.tags.get(EVALUATION, "")
    ours = (models.evaluation(candidate, digest) or {}).get(metric)
    if ours is None:
        return Decision(False, f"{this} has no {metric} to compare")
    if champion is None:
        return Decision(True, f"{this} is the first champion, with {metric} {ours:.4f}")
    that = f"version {champion.version}"
    theirs = (models.evaluation(champion, digest) or {}).get(metric)
    if theirs is None:
        return Decision(
            False,
            f"the champion, {that}, has no {metric} on the evaluation data {digest} of {this}, and"
            " figures on other data do not compare",
        )
    words = f"{metric} {ours:.4f} of {this} against {theirs:.4f} of {that}, on {digest}"
    return Decision(ours > theirs, words)


def _version(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException  # takes seconds

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
