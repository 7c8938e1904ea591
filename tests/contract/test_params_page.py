"""Every param is documented, and refused with a sentence where it is out of range."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cocopipe.errors import UserError
from cocopipe.params import read
from tests.contract.params_page import ROOT, Key, keys, page, takes

KEYS = list(keys())


def test_the_page_says_what_the_code_checks() -> None:
    """``UPDATE_DOCS=1`` writes it."""
    path = ROOT / "docs" / "params.md"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(page())
    assert path.read_text() == page()


def test_every_key_of_the_file_is_on_it() -> None:
    own = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    names = {key.name for key in KEYS}
    for name in _leaves(own):
        assert name in names or any(name.startswith(f"{each}.") for each in names), name


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def wrong(schema: Mapping[str, Any]) -> Iterator[Any]:
    """Values that a schema does not allow."""
    for each in schema.get("anyOf", [schema]):
        step = 1 if each.get("type") == "integer" else 0.5
        for name, sign in (("minimum", -1), ("maximum", 1)):
            if name in each:
                yield each[name] + sign * step
        for name in ("exclusiveMinimum", "exclusiveMaximum"):
            if name in each:
                yield each[name]
    yield object  # of a type that none takes; see `test_…`


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_what_is_out_of_range_is_refused_by_name(key: Key, tmp_path: Path) -> None:
    own = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    *above, last = key.name.split(".")
    section = own
    for name in above:
        section = section[name]
    for value in wrong(key.schema):
        section[last] = [[{"no": "such"}]] if value is object else value
        path = tmp_path / "params.yaml"
        YAML(typ="safe").dump(own, path)
        with pytest.raises(UserError, match=rf"^params\.yaml: {key.name}\b"):
            read(path)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer", "minimum": 1}, "whole number ≥ 1"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "number ≥ 0 and < 1"),
        (
            {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]},
            "number > 0, or empty",
        ),
        ({"enum": ["a", "b"], "type": "string"}, "`a`, `b`"),
        ({"type": "array", "items": {"type": "number"}, "maxItems": 2}, "list of 2: number"),
    ],
)
def test_what_is_taken_in_words(schema: dict[str, Any], said: str) -> None:
    assert takes(schema) == said
