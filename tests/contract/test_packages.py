"""What each package imports is what pyproject.toml says that it needs: the base, or the extra."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
OWN = {"cocopipe", "lineage"}
BY_OTHERS = {"ruamel-yaml-clib", "nvidia-ml-py"}
"""ruamel.yaml imports the one, MLflow the other, for its metrics of the GPU."""


def project() -> dict:
    return dict(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"])


def named(requirements: list[str]) -> set[str]:
    return {Requirement(line).name for line in requirements}


@cache
def providers() -> dict[str, set[str]]:
    """Module -> the distributions that it may come from, as pyproject.toml spells them."""
    return {
        module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
        for module, names in packages_distributions().items()
    }


def imported(package: str) -> set[str]:
    """Modules of others that a package imports, late or at once."""
    found = set()
    for file in (ROOT / "src" / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).partition(".")[0])
    return found - set(sys.stdlib_module_names) - OWN


def unmet(package: str, declared: set[str]) -> set[str]:
    return {module for module in imported(package) if not providers()[module] & declared}


def unused(packages: set[str], declared: set[str]) -> set[str]:
    modules = set().union(*(imported(package) for package in packages))
    used = set().union(*(providers()[module] for module in modules))
    return declared - used


def test_lineage_needs_the_base_and_no_extra() -> None:
    base = named(project()["dependencies"])
    assert unmet("lineage", base) == set()
    assert unused({"lineage"}, base) <= BY_OTHERS


def test_cocopipe_needs_the_base_and_the_extra() -> None:
    base = named(project()["dependencies"])
    extra = named(project()["optional-dependencies"]["pipeline"])
    of_one_command = named(project()["optional-dependencies"]["onnx"])
    assert unmet("cocopipe", base | extra) == of_one_command
    assert unused({"cocopipe"}, extra) <= BY_OTHERS


@pytest.mark.parametrize("left_out", ["pygit2", "filelock", "openlineage-python"])
def test_a_need_that_is_not_declared_is_missed(left_out: str) -> None:
    assert unmet("lineage", named(project()["dependencies"]) - {left_out})


def test_the_lock_pins_the_base_and_every_extra() -> None:
    lock = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().split()}
    declared = named(project()["dependencies"])
    for extra in project()["optional-dependencies"].values():
        declared |= named(extra)
    assert declared <= lock
    (command,) = re.findall(r"uv pip compile (?:.*\\\n)*.*", (ROOT / "Makefile").read_text())
    for extra in project()["optional-dependencies"]:
        assert f"--extra {extra} " in command
