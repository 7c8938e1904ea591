"""Names and definitions of stages that a template of ``dvc.yaml`` makes."""

import itertools
import posixpath
import re
from collections.abc import Mapping
from typing import Any


def definition_of(
    definitions: Mapping[str, Any], name: str, variables: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """A stage of ``dvc.yaml`` by its name in the lock, which may have an ``@key``."""
    if name in definitions:
        return dict(definitions[name])
    group, _, key = name.partition("@")
    template = definitions.get(group)
    if template is None or "@" not in name:
        return None
    keys = _keys(template, variables)
    if keys is not None and key not in keys:
        return None
    return dict(template.get("do", template))


def _keys(template: Mapping[str, Any], variables: Mapping[str, Any]) -> set[str] | None:
    """What follows the ``@`` in the names of a group's stages, as DVC makes it.

    None where it depends on what neither ``vars`` nor ``params.yaml`` says.
    """

    def known(value: Any) -> Any:
        whole = re.fullmatch(r"\$\{\s*([\w.]+)\s*\}", value) if isinstance(value, str) else None
        if not whole:
            return value
        found: Any = variables
        for name in whole[1].split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    if "matrix" in template:
        axes = {axis: known(values) for axis, values in template["matrix"].items()}
        if not all(isinstance(values, list) for values in axes.values()) or _has_template(axes):
            return None
        spelled = [
            [
                f"{axis}{place}" if isinstance(value, list | dict) else _spelled(value)
                for place, value in enumerate(values)
            ]
            for axis, values in axes.items()
        ]
        return {"-".join(parts) for parts in itertools.product(*spelled)}
    items = known(template.get("foreach"))
    if not isinstance(items, list | dict) or _has_template(items):
        return None
    if isinstance(items, list) and any(isinstance(item, list | dict) for item in items):
        return {str(place) for place in range(len(items))}
    return {_spelled(item) for item in items}


def _has_template(value: Any) -> bool:
    return "${" in str(value)


def _spelled(value: Any) -> str:
    # As DVC's `to_str`.
    return str(value).lower() if isinstance(value, bool) else str(value)


def likeness(declared: str, path: str) -> int:
    """How many characters a path of ``dvc.yaml`` without its templates shares with this one.

    -1 where it cannot mean it.
    """
    parts = re.split(r"\$\{[^}]*\}", posixpath.normpath(declared))
    can_mean = re.fullmatch(".+".join(map(re.escape, parts)), posixpath.normpath(path))
    return sum(map(len, parts)) if can_mean else -1
