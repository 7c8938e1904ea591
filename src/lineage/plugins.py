"""What the packages of a project add: facts of their data, and their kind of model.

The bridge knows nothing of what is in the bytes. A package that does says so through
entry points:

``lineage.facts``
    ``facts(path) -> {"profile": {name: value}, "schema": [{"name": …, "type": …}]}``, or
    None for data that it does not know. Only facts of the content, so that they are the
    same whoever asks.
``lineage.models``
    ``log_model(path, model_id, name) -> bool``: write the MLflow model of the files at
    ``path`` into the logged model ``model_id``; False for files that it does not know.

An entry point that names an extra, as in ``package.module:facts [training]``, is passed over
where that extra is not installed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from lineage.environment import missing_packages
from lineage.errors import LineageError


@dataclass(frozen=True)
class Facts:
    """What is known of a dataset version from its content.

    Attributes:
        profile: Plain names and values, shown as lines in MLflow.
        schema: Columns, each ``{"name": …, "type": …}`` with MLflow's column types.
    """

    profile: dict[str, Any] = field(default_factory=dict)
    schema: list[dict[str, str]] = field(default_factory=list)


def facts(path: Path) -> Facts:
    """Ask the project's packages what they know of the data at ``path``."""
    for plugin in _plugins("lineage.facts"):
        known = plugin(path)
        if known is not None:
            return Facts(known.get("profile", {}), known.get("schema", []))
    return Facts()


def log_model(path: Path, model_id: str, name: str) -> bool:
    """Let the package that knows this kind of model write it into MLflow."""
    return any(plugin(path, model_id, name) for plugin in _plugins("lineage.models"))


def check() -> None:
    """Load every plugin, so that a broken one is told before the work and not after it.

    Raises:
        LineageError: If one cannot be imported.
    """
    _plugins("lineage.facts")
    _plugins("lineage.models")


@cache
def _plugins(group: str) -> tuple[Callable[..., Any], ...]:
    plugins = []
    for entry_point in entry_points(group=group):
        if _is_left_out(entry_point):
            continue
        try:
            plugins.append(entry_point.load())
        except (ImportError, AttributeError) as error:
            raise LineageError(
                f"the entry point {entry_point.value!r} of {group} cannot be loaded ({error}):"
                f" correct it in the pyproject.toml of {_package_of(entry_point)}, and install that"
                " package again."
            ) from error
    return tuple(plugins)


def _is_left_out(entry_point: EntryPoint) -> bool:
    return any(missing_packages(_package_of(entry_point), extra) for extra in entry_point.extras)


def _package_of(entry_point: EntryPoint) -> str:
    # Those that `entry_points` finds have one.
    return entry_point.dist.name if entry_point.dist else ""
