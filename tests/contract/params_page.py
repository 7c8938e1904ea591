"""``docs/params.md``: every param of ``params.yaml``, made from what checks them."""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from ruamel.yaml import YAML

from cocopipe import params

ROOT = Path(__file__).resolve().parents[2]

HEAD = """# Params

What every key of `params.yaml` takes, what this repository's own file has, and what it does.
A value that is not taken is refused with a sentence before any work, by `dvc repro` and by
`dvc exp run -S train.epochs=20` alike. Empty means that nothing stands after the colon, or
`=null` where it is set so.

A change reruns the stages that are given the key; `machine` and `tracking` say how and where, and
rerun nothing.
"""


@dataclass(frozen=True)
class Key:
    """One of the keys.

    Attributes:
        name: Dotted.
        schema: What it takes, as JSON Schema.
        value: In this repository's own file.
        meaning: The sentence of its class.
    """

    name: str
    schema: Mapping[str, Any]
    value: Any
    meaning: str


def keys() -> Iterator[Key]:
    """Every key that has a value, in the order of the classes."""
    schema = TypeAdapter(params.Params).json_schema()
    own = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    yield from _of(params.Params, schema, schema["$defs"], own, "")


def _of(
    cls: type, schema: Mapping[str, Any], known: Mapping[str, Any], own: Any, prefix: str
) -> Iterator[Key]:
    meanings, kinds = _meanings(cls), get_type_hints(cls)
    for each in fields(cls):
        name, kind, about = (
            f"{prefix}{each.name}",
            kinds[each.name],
            schema["properties"][each.name],
        )
        if is_dataclass(kind):
            below = known[about["$ref"].rpartition("/")[2]]
            yield from _of(kind, below, known, own[each.name], f"{name}.")
        else:
            yield Key(name, about, own[each.name], meanings[each.name])


def _meanings(cls: type) -> dict[str, str]:
    """Name of a field -> the text below it."""
    (tree,) = ast.parse(inspect.getsource(cls)).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
            assert isinstance(field.target, ast.Name)
            assert isinstance(below.value, ast.Constant)
            found[field.target.id] = " ".join(inspect.cleandoc(below.value.value).split())
    return found


def takes(schema: Mapping[str, Any]) -> str:
    """What JSON Schema allows, in words."""
    if "anyOf" in schema:
        return ", or ".join(map(takes, schema["anyOf"]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{each}`" for each in schema.get("enum", [schema.get("const")]))
    kind = _KINDS[schema["type"]]
    if schema["type"] == "array":
        number = f" of {schema['maxItems']}" if "maxItems" in schema else ""
        return f"list{number}: {takes(schema['items'])}"
    limits = [f"{sign} {schema[name]:g}" for name, sign in _LIMITS.items() if name in schema]
    return " ".join([kind, " and ".join(limit for limit in limits if "e+18" not in limit)]).strip()


_KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true`, `false`",
    "object": "mapping",
    "array": "list",
    "null": "empty",
}
_LIMITS = {
    "minimum": "≥",
    "exclusiveMinimum": ">",
    "maximum": "≤",
    "exclusiveMaximum": "<",
}


def page() -> str:
    """The whole page."""
    sections: dict[str, list[Key]] = {}
    for key in keys():
        sections.setdefault(key.name.partition(".")[0], []).append(key)
    return "\n".join([HEAD, *(_section(name, found) for name, found in sections.items())])


def _section(name: str, found: list[Key]) -> str:
    rows = [
        f"| `{key.name}` | {takes(key.schema)} | {_shown(key.value)} | {_cell(key.meaning)} |"
        for key in found
    ]
    return "\n".join(
        [f"## {name}", "", "| key | takes | own | what |", "|---|---|---|---|", *rows, ""]
    )


def _shown(value: Any) -> str:
    return "empty" if value is None else f"`{value}`"


def _cell(text: str) -> str:
    return re.sub(r"\bNone\b", "empty", text).replace("``", "`").replace("|", "\\|")
