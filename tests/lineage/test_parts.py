"""Who read a folder in a folder, or one around several outputs, is linked to their versions then.

`test_hard_cases` has the file inside of a folder. Expected is what the text of dvc.lock and the
MLflow client say.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from lineage.verbs.trace import trace
from tests.lineage.conftest import Project, hashes

pytestmark = pytest.mark.slow

# `inside` reads a folder in an output, `around` a folder with two outputs and a .gitignore.
# No output has the bytes of its source: whoever read those under any name would be reached too.
PIPELINE = """
stages:
  prepare:
    cmd:
    - mkdir -p data/train/labels
    - tr a-z A-Z < raw.txt > data/train/raw.txt
    - tr a-z A-Z < labels.txt > data/train/labels/labels.txt
    deps: [raw.txt, labels.txt]
    outs: [data/train: {type: dataset}]
  words:
    cmd: mkdir -p data && tr a-z A-Z < words.txt > data/words.txt
    deps: [words.txt]
    outs: [data/words.txt: {type: dataset}]
  inside:
    cmd: python stage.py inside
    deps: [data/train/labels]
    outs: [models/inside: {type: model}]
  around:
    cmd: python stage.py around
    deps: [data]
    outs: [models/around: {type: model}]
  whole:
    cmd: python stage.py whole
    deps: [data/train]
    outs: [models/whole: {type: model}]
  sibling:
    cmd: python stage.py sibling
    deps: [data/train/raw.txt]
    outs: [models/sibling: {type: model}]
"""
READERS = {"inside": ("data/train",), "around": ("data/train", "data/words.txt")}
"""Reader -> the outputs that it read, in part or as a whole."""


@pytest.fixture(scope="module")
def relabelled(new_project: Callable[[], Project]) -> Project:
    """Both outputs have a second version, which neither reader has read."""
    project = new_project()
    project.write("dvc.yaml", PIPELINE)
    for name, text in (("raw.txt", "raw"), ("labels.txt", "cat"), ("words.txt", "few")):
        project.write(name, text)
    project.commit("code")
    project.run("dvc", "repro")
    project.commit("v1")
    project.run("git", "tag", "v1")
    project.write("labels.txt", "dog")
    project.write("words.txt", "many")
    project.run("dvc", "repro", "--single-item", "prepare", "words")
    project.commit("v2")
    project.run("git", "tag", "v2")
    for stage in READERS:
        assert project.lock(rev="v1")[stage] == project.lock(rev="v2")[stage]
    return project


@pytest.fixture
def asked(relabelled: Project, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The project, as who works in it asks."""
    monkeypatch.chdir(relabelled.root)
    return Asked.find()


def version(project: Project, rev: str, path: str) -> str:
    """The hash of an output at a revision."""
    stages = project.lock(rev=rev).values()
    return next(found[path] for each in stages if path in (found := hashes(each["outs"])))


def outputs_in(graph: Graph) -> set[tuple[str, str]]:
    """Versions of the two outputs, not of their parts, that are in an answer."""
    data = [node for node in graph.nodes.values() if isinstance(node, DataNode)]
    return {(node.path, node.hash) for node in data if node.path in READERS["around"]}


def ran(graph: Graph, stage: str) -> list[str]:
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    return [each.run.id for each in nodes if each.run and each.execution.stage.name == stage]


@pytest.mark.parametrize("rev", ["v1", "v2"])
@pytest.mark.parametrize(("stage", "paths"), READERS.items(), ids=READERS.keys())
def test_a_folder_was_read_as_it_was_then(
    relabelled: Project, asked: Asked, stage: str, paths: tuple[str, ...], rev: str
) -> None:
    graph = trace(asked, f"models/{stage}@{rev}")
    (run,) = relabelled.runs(stage)
    assert ran(graph, stage) == [run.info.run_id]
    assert outputs_in(graph) == {(path, version(relabelled, "v1", path)) for path in paths}
    assert graph.warnings == ()


@pytest.mark.parametrize("path", READERS["around"])
@pytest.mark.parametrize("stage", READERS)
def test_what_was_read_reaches_its_reader_and_what_came_after_does_not(
    relabelled: Project, asked: Asked, stage: str, path: str
) -> None:
    (run,) = relabelled.runs(stage)
    before, after = (version(relabelled, rev, path) for rev in ("v1", "v2"))
    assert before != after
    reached = [run.info.run_id] if path in READERS[stage] else []
    assert ran(impact(asked, f"{path}@v1"), stage) == reached
    graph = impact(asked, f"{path}@v2")
    assert ran(graph, stage) == []
    assert before not in {node.hash for node in graph.nodes.values() if isinstance(node, DataNode)}


@pytest.mark.parametrize(
    ("part", "stages"),
    [
        ("data/train/labels", {"inside", "whole", "around"}),
        ("data/train/raw.txt", {"sibling", "whole", "around"}),
        ("data/train", {"inside", "sibling", "whole", "around"}),
        ("data/words.txt", {"around"}),
    ],
)
def test_a_part_reaches_who_read_it_or_what_holds_it_but_not_its_neighbours(
    relabelled: Project, asked: Asked, part: str, stages: set[str]
) -> None:
    graph = impact(asked, f"{part}@v1")
    found = {stage for stage in (*READERS, "whole", "sibling") if ran(graph, stage)}
    assert found == stages
    assert graph.warnings == ()


@pytest.mark.parametrize("stage", READERS)
def test_where_the_listing_is_nowhere_nothing_is_linked_and_that_is_told(
    relabelled: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str
) -> None:
    project = replace(relabelled, root=tmp_path / "project")
    shutil.copytree(relabelled.root, project.root, symlinks=True)
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / "data" / "train")
    monkeypatch.chdir(project.root)
    (run,) = project.runs(stage)
    for rev in ("v1", "v2"):
        graph = trace(Asked.find(), f"models/{stage}@{rev}")
        assert ran(graph, stage) == [run.info.run_id]
        assert outputs_in(graph) == set()
        (warning,) = graph.warnings
        assert "cannot be told" in warning
        graph = impact(Asked.find(), f"data/train@{rev}")
        assert ran(graph, stage) == []
        assert any("cannot be told" in each for each in graph.warnings)
