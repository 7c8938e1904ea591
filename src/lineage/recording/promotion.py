"""Giving an alias to a version, and writing down that, by whom and why."""

from collections.abc import Mapping
from datetime import UTC, datetime

from lineage.errors import LineageError
from lineage.project import Project
from lineage.tracking.promotions import Promoted, Promotion, promoted, write_down
from lineage.tracking.tags import CHAMPION
from lineage.words import some


def promote(
    project: Project,
    name: str,
    version: str,
    *,
    why: str,
    alias: str = CHAMPION,
    data: str = "",
    metrics: Mapping[str, Mapping[str, float]] | None = None,
) -> Promotion:
    """Give an alias to a version of a registered model, and write it down.

    It is written down first: who is stopped in between does it again, and nothing that happened
    is missing. Of two at once, both are written down, and `lineage verify` tells where the alias
    did not stay with the later one.

    Args:
        project: Whose store it is.
        name: The registered model.
        version: The number of the version.
        why: In a sentence.
        alias: Which.
        data: The DVC hash of the dataset that the metrics are of.
        metrics: Number of a version -> what was compared.

    Raises:
        LineageError: If no such model is registered.
    """
    model = registered(project, name)
    before = model.aliases.get(alias, "")
    done = Promotion(
        at=datetime.now(UTC),
        alias=alias,
        version=version,
        before=before,
        by=_user(),
        why=why,
        data=data,
        metrics=metrics or {},
    )
    write_down(project.client, name, done)
    project.client.set_registered_model_alias(name, alias, version)
    project.forget_store()
    return done


def confirm(project: Project, name: str, alias: str, why: str) -> Promotion | None:
    """Write down that somebody moved an alias by hand, and why.

    Returns:
        What was written down; None where the last promotion says so already.

    Raises:
        LineageError: If no such model is registered.
    """
    model = registered(project, name)
    earlier, now = model.of(alias), model.aliases.get(alias, "")
    if now == (earlier[-1].version if earlier else ""):
        return None
    # It found that version there: when it came there, nobody knows.
    done = Promotion(datetime.now(UTC), alias, now, now, _user(), why)
    write_down(project.client, name, done)
    project.forget_store()
    return done


def registered(project: Project, name: str) -> Promoted:
    """What the registry knows of a model's aliases.

    Raises:
        LineageError: If no such model is registered.
    """
    model = promoted(project.reader, name, project.passed)
    if model is None:
        names = project.registry.names()
        known = f"registered are {some(names)}" if names else "none is registered"
        raise LineageError(
            f"no model {name!r} is registered in this tracking store; {known}; `lineage sync`"
            " registers what dvc.lock has."
        )
    return model


def _user() -> str:
    """Who this is, as MLflow writes it into runs."""
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.mlflow_tags import MLFLOW_USER

    return str(resolve_tags().get(MLFLOW_USER, ""))
