"""The code that a model carries: copies of modules of this project, under a name of their own.

The name tells which code it is, so that neither another version of this project nor another model
in the same process can take its place.
"""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PROJECT = ("cocopipe", "lineage")
"""The packages of this project."""

DISTRIBUTIONS = {
    "PIL": "pillow",
    "mlflow": "mlflow",
    "numpy": "numpy",
    "pandas": "pandas",
    "pi_heif": "pi-heif",
    "pyarrow": "pyarrow",
    "pycocotools": "pycocotools",
    "safetensors": "safetensors",
    "simplejpeg": "simplejpeg",
    "torch": "torch",
    "torchvision": "torchvision",
}
"""Package that the code imports -> what it is installed as."""

BY_MLFLOW = frozenset({"packaging", "rich"})
"""Packages that the code has for what a model never does, and MLflow brings anyway."""

_SOURCES = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Carried:
    """Modules of this project, ready to be written."""

    name: str
    """Of the package that they become."""
    modules: dict[str, str]
    """Name -> text, in which they import each other under their new names."""
    imports: frozenset[str]
    """Packages of others that they import, but for those of Python itself."""

    def write(self, folder: Path) -> None:
        """Write the package into a folder."""
        for module, text in self.modules.items():
            path = folder.joinpath(self.name, *module.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for package in {path.parent for path in (folder / self.name).rglob("*.py")}:
            for each in (package, *package.relative_to(folder).parents):
                (folder / each).joinpath("__init__.py").touch()
        (folder / "__init__.py").unlink(missing_ok=True)

    def requirements(self) -> list[str]:
        """What has to be installed for them, in the versions that are here."""
        names = sorted(DISTRIBUTIONS[each] for each in self.imports - BY_MLFLOW)
        # A build's own label, as in 2.14.1+cpu, is on no index.
        return [f"{name}=={version(name).partition('+')[0]}" for name in names]


def carried(entry: str) -> Carried:
    """Gather a module of this project and all of this project that it imports, late or at once.

    Packages are carried without what stands in their ``__init__.py``, which is for readers.
    """
    trees = {module: (path, ast.parse(path.read_bytes())) for module, path in _needed(entry)}
    digest = hashlib.sha256()
    for module in sorted(trees):
        digest.update(f"{module}\0".encode() + trees[module][0].read_bytes() + b"\0")
    name = f"detector_{digest.hexdigest()[:16]}"
    modules = {
        module: _renamed(path.read_text(encoding="utf-8"), tree, name)
        for module, (path, tree) in trees.items()
    }
    every = {each.partition(".")[0] for _, tree in trees.values() for each, _ in _imports(tree)}
    return Carried(name, modules, frozenset(every - set(PROJECT) - sys.stdlib_module_names))


@contextmanager
def importable(folder: Path, package: str) -> Iterator[None]:
    """Let a package be imported from a folder during the block, and leave no trace of it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for module in [each for each in sys.modules if re.match(rf"{package}(\.|$)", each)]:
            del sys.modules[module]


def _needed(entry: str) -> Iterator[tuple[str, Path]]:
    waiting, seen = [entry], set[str]()
    while waiting:
        module = waiting.pop()
        path = _SOURCES.joinpath(*module.split(".")).with_suffix(".py")
        if module in seen or not path.is_file():
            continue
        seen.add(module)
        yield module, path
        for imported, names in _imports(ast.parse(path.read_bytes())):
            if imported.partition(".")[0] in PROJECT:
                waiting += [imported, *(f"{imported}.{name}" for name in names)]


def _imports(tree: ast.Module) -> Iterator[tuple[str, list[str]]]:
    """The modules that a module imports, each with the names that it takes from it."""
    for node in _run(tree):
        if isinstance(node, ast.ImportFrom):
            yield str(node.module), [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """All of a module but for what only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _run(node)


def _renamed(text: str, tree: ast.Module, package: str) -> str:
    """The text of a module whose imports of this project name the package instead.

    Raises:
        ValueError: It has one that binds the name of the project itself.
    """
    lines = text.split("\n")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] in PROJECT:
                    raise ValueError(f"import {alias.name} has to be: from … import …")
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in PROJECT:
            line = node.lineno - 1
            lines[line] = lines[line].replace("from ", f"from {package}.", 1)
    return "\n".join(lines)
