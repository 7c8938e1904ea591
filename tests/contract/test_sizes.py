"""Modules, classes, functions and parameter lists stay as small as one can take in at once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])

MODULE_LINES = 399
CLASS_LINES = 199
FUNCTION_LINES = 60
PARAMETERS = 8

LARGER: dict[str, str] = {}
"""``module:name`` -> why it is larger than the others may be."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def too_large(module: str, text: str) -> Iterator[str]:
    """``module:name`` of all in a module that is larger than it may be."""
    if len(text.splitlines()) > MODULE_LINES:
        yield module
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef) and lines(node) > CLASS_LINES:
            yield f"{module}:{node.name}"
        if isinstance(node, Function) and (
            lines(node) > FUNCTION_LINES or parameters(node) > PARAMETERS
        ):
            yield f"{module}:{node.name}"


def lines(node: ast.ClassDef | Function) -> int:
    return (node.end_lineno or 0) - node.lineno + 1


def parameters(node: Function) -> int:
    """All but ``self`` and ``cls``."""
    its = node.args
    named = [*its.posonlyargs, *its.args, *its.kwonlyargs]
    starred = [each for each in (its.vararg, its.kwarg) if each]
    return len([each for each in named if each.arg not in ("self", "cls")]) + len(starred)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_larger_than_it_may_be(path: Path) -> None:
    module = str(path.relative_to(ROOT))
    assert set(too_large(module, path.read_text(encoding="utf-8"))) <= LARGER.keys()


def test_no_exception_outlives_its_reason() -> None:
    found = {
        name
        for path in MODULES
        for name in too_large(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    }
    assert found == LARGER.keys()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\n" * 400, "m.py"),
        ("class Large:\n" + "    x = 1\n" * 199, "m.py:Large"),
        ("def long():\n" + "    x = 1\n" * 60, "m.py:long"),
        ("def many(a, b, c, d, /, e, f, *g, h, **i): ...", "m.py:many"),
        ("class C:\n    async def long(self):\n" + "        x = 1\n" * 60, "m.py:long"),
    ],
)
def test_what_is_too_large_is_found(text: str, name: str) -> None:
    assert name in list(too_large("m.py", text))


def test_what_is_just_small_enough_is_not() -> None:
    text = "class C:\n    def many(self, a, b, c, d, e, f, g, h):\n" + "        x = 1\n" * 59
    assert list(too_large("m.py", text)) == []
