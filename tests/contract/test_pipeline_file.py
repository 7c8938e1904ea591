"""dvc.yaml declares what each stage really uses: its code, and its params."""

import ast
import copy
import importlib
import inspect
from collections.abc import Callable
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import grimp
import pytest
from ruamel.yaml import YAML

from cocopipe.params import Params
from cocopipe.params import read as read_params

ROOT = Path(__file__).resolve().parents[2]
STAGES = ["download", "convert", "inspect", "train", "evaluate", "register"]

OBSERVERS = ["cocopipe.tracking"]
"""What MLflow gets changes no result: values go into these modules, and none comes back."""

NO_RESULT = {"cocopipe", "cocopipe.errors", "cocopipe.params", "cocopipe.stages"}
NO_RESULT |= {"cocopipe.checked", "cocopipe.convert.settings", "cocopipe.detect.settings"}
"""Errors end a stage; params and the settings they are made of have no defaults, and the values
that they hold are declared."""

WITH_CODE = {
    "src/cocopipe/__init__.py": "what it offers, `load`, is for readers; no stage calls it",
}
"""Packages that do more on import than to say what they are, though no stage declares them."""

BRIDGE = "lineage"
"""The bridge is not declared. It tells stages where their files lie and what hash these have,
which DVC decides, and gives a `Registration` the form of its file, which is its own: a new form
would reach reports/register.json with the next verdict, and needs no other before that."""

HOW_AND_WHERE = {"machine", "tracking"}

READERS = "readers of what convert writes: they lie beside the format that both have to agree on"
UNUSED = {
    "convert": {
        "src/cocopipe/convert/settings.py": "values of params, beside what they are for",
        "src/cocopipe/pictures/pixels.py": READERS,
        "src/cocopipe/split/images.py": READERS,
        "src/cocopipe/split/masks.py": READERS,
    },
}
"""Modules in declared folders that a stage reruns for, but never imports, each with the reason."""


def pipeline() -> dict:
    return YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.fixture(scope="module")
def code() -> dict[str, set[str]]:
    """Stage -> files of this project that it imports, directly or not."""
    graph = grimp.build_graph("cocopipe", cache_dir=None)
    for observer in OBSERVERS:
        for module in {observer, *graph.find_descendants(observer)}:
            graph.remove_module(module)
    imported = {}
    for stage in STAGES:
        own = f"cocopipe.stages.{stage}"
        modules = {own, *graph.find_upstream_modules(own)} - NO_RESULT
        imported[stage] = {file_of(module) for module in modules}
    return imported


def file_of(module: str) -> str:
    path = Path("src", *module.split("."))
    return str(path / "__init__.py" if (ROOT / path).is_dir() else path.with_suffix(".py"))


def code_deps(stage: dict) -> list[str]:
    return [dep for dep in stage["deps"] if dep.startswith("src/")]


def undeclared_code(stage: dict, imported: set[str]) -> set[str]:
    deps = code_deps(stage)
    return {
        file
        for file in imported
        if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)
    }


def used_sections(stage: str) -> set[str]:
    tree = ast.parse((ROOT / f"src/cocopipe/stages/{stage}.py").read_text())
    sections = {field.name for field in fields(Params)}
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "params"
        and node.attr in sections
    } - HOW_AND_WHERE


def test_the_pipeline_has_the_stages_in_their_order() -> None:
    assert list(pipeline()) == STAGES


@pytest.mark.parametrize("stage", STAGES)
def test_one_verb_names_stage_command_module_and_params(stage: str) -> None:
    assert pipeline()[stage]["cmd"] == f"bin/stage {stage}"
    assert (ROOT / f"src/cocopipe/stages/{stage}.py").is_file()
    assert stage in {field.name for field in fields(Params)}


@pytest.mark.parametrize("stage", STAGES)
def test_all_code_that_determines_a_result_is_declared(
    stage: str, code: dict[str, set[str]]
) -> None:
    assert undeclared_code(pipeline()[stage], code[stage]) == set()


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_lies_in_an_undeclared_parent_of_what_is_imported(
    stage: str, code: dict[str, set[str]]
) -> None:
    """Python runs a package's own file too; nothing names it where a module of it is imported."""
    parents = {
        (folder / "__init__.py").as_posix()
        for file in code[stage]
        for folder in Path(file).parents
        if folder.is_relative_to("src/cocopipe")
    }
    assert "src/cocopipe/stages/__init__.py" in parents
    undeclared = undeclared_code(pipeline()[stage], parents)
    assert {file for file in undeclared if has_code(ROOT / file)} == WITH_CODE.keys()


def has_code(path: Path) -> bool:
    """Whether a module does more than to say what it is."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    return len(module.body) > (ast.get_docstring(module) is not None)


@pytest.mark.parametrize("stage", STAGES)
def test_only_the_stages_themselves_know_the_bridge(stage: str, code: dict[str, set[str]]) -> None:
    knowing = {
        file
        for file in code[stage]
        if any(name.split(".")[0] == BRIDGE for name in imports(ROOT / file))
    }
    assert knowing == {f"src/cocopipe/stages/{stage}.py"}


def imports(path: Path) -> set[str]:
    """The modules that a file names in its imports, wherever these stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def observers_of(stage: str) -> list[object]:
    """What a stage imports of the observers."""
    tree = ast.parse((ROOT / f"src/cocopipe/stages/{stage}.py").read_text())
    return [
        getattr(importlib.import_module(node.module or ""), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and any(f"{node.module}.".startswith(f"{observer}.") for observer in OBSERVERS)
        for alias in node.names
    ]


def methods_of(observer: object) -> list[Callable]:
    if not isinstance(observer, type):
        return [observer]
    return [method for name, method in vars(observer).items() if not name.startswith("_")]


def test_no_stage_gets_a_value_from_an_observer() -> None:
    """mypy sees to it that a function said to return None does not return more."""
    found = [each for stage in STAGES for each in observers_of(stage) if callable(each)]
    assert len(found) >= 3
    for observer in found:
        for method in methods_of(observer):
            assert inspect.signature(method).return_annotation is None, method


@pytest.mark.parametrize("stage", STAGES)
def test_no_code_is_declared_that_is_not_used(stage: str, code: dict[str, set[str]]) -> None:
    for dep in code_deps(pipeline()[stage]):
        assert any(file == dep or file.startswith(f"{dep}/") for file in code[stage]), dep


def unused_code(stage: dict, imported: set[str]) -> set[str]:
    declared = {
        path.relative_to(ROOT).as_posix()
        for dep in code_deps(stage)
        for path in ([ROOT / dep] if dep.endswith(".py") else (ROOT / dep).rglob("*.py"))
    }
    return {file for file in declared - imported if not file.endswith("/__init__.py")}


@pytest.mark.parametrize("stage", STAGES)
def test_no_declared_folder_holds_what_the_stage_never_imports(
    stage: str, code: dict[str, set[str]]
) -> None:
    assert unused_code(pipeline()[stage], code[stage]) == UNUSED.get(stage, {}).keys()


def test_a_folder_that_holds_more_than_a_stage_imports_is_noticed(
    code: dict[str, set[str]],
) -> None:
    stage = copy.deepcopy(pipeline()["train"])
    stage["deps"].append("src/cocopipe/coco")
    assert "src/cocopipe/coco/zips.py" in unused_code(stage, code["train"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_code_dependency_that_is_removed_is_missed(stage: str, code: dict[str, set[str]]) -> None:
    whole = pipeline()[stage]
    for dep in code_deps(whole):
        less = copy.deepcopy(whole)
        less["deps"].remove(dep)
        assert undeclared_code(less, code[stage]), dep


@pytest.mark.parametrize("stage", STAGES)
def test_declared_params_are_those_that_are_used(stage: str) -> None:
    assert set(pipeline()[stage]["params"]) == used_sections(stage)


def classes_of_params(kind: object = Params) -> set[type]:
    """The classes that params are made of, wherever a type names one."""
    if isinstance(kind, type) and is_dataclass(kind):
        return {kind}.union(*map(classes_of_params, get_type_hints(kind).values()))
    return set().union(*map(classes_of_params, get_args(kind)))


def test_no_param_has_a_default() -> None:
    """A value that params.yaml does not state would be decided by code that no stage declares."""
    classes = classes_of_params()
    sections = {field.name: get_type_hints(Params)[field.name] for field in fields(Params)}
    assert {*sections.values()} < classes
    modules = {each.__module__ for each in classes}
    assert modules == {"cocopipe.params", "cocopipe.convert.settings", "cocopipe.detect.settings"}
    for each in classes:
        for field in fields(each):
            assert each.__pydantic_fields__[field.name].is_required(), (each, field.name)
            assert field.default is field.default_factory is MISSING, (each, field.name)


def test_params_hold_what_their_file_says() -> None:
    stated = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    assert asdict(read_params(ROOT / "params.yaml")) == stated


def test_no_param_has_a_name_that_dvc_overlooks() -> None:
    """The run-cache's key leaves out every `size` and `nfiles`, params among them."""
    overlooked = {"size", "nfiles"}

    def names(value: object) -> set[str]:
        if not isinstance(value, dict):
            return set()
        return set(value).union(*(names(part) for part in value.values()))

    assert not names(YAML(typ="safe").load((ROOT / "params.yaml").read_text())) & overlooked


@pytest.mark.parametrize("stage", STAGES)
def test_outputs_say_what_they_are(stage: str) -> None:
    for out in pipeline()[stage]["outs"]:
        ((path, annotation),) = out.items()
        assert annotation["type"] in {"dataset", "model", "report"}, path
        assert annotation["desc"], path


def test_no_module_spells_a_data_path() -> None:
    paths = {path for stage in pipeline().values() for out in stage["outs"] for path in out}
    for module in (ROOT / "src").rglob("*.py"):
        strings = {
            node.value
            for node in ast.walk(ast.parse(module.read_text()))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not strings & paths, module
