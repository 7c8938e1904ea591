"""Who read a part of an output, or a folder around several, is linked to their versions then.

Expected is what the text of dvc.lock and the MLflow client say.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.join.graph import DataNode, Graph
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from lineage.verbs.trace import trace
from tests.lineage.conftest import Ask, Project, hashes
from tests.lineage.graphs import ids, shown, versions_of
from tests.lineage.trained import begin, folder_of, pipeline, worktree
from tests.lineage.written import recorded

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
    cmd: mkdir -p models && printf whole > models/whole
    deps: [data/train]
    outs: [models/whole: {type: model}]
  sibling:
    cmd: mkdir -p models && printf sibling > models/sibling
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
    recorded(project, "whole")
    recorded(project, "sibling")
    project.release("v1")
    project.write("labels.txt", "dog")
    project.write("words.txt", "many")
    project.run("dvc", "repro", "--single-item", "prepare", "words")
    project.release("v2")
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


@pytest.mark.parametrize("rev", ["v1", "v2"])
@pytest.mark.parametrize(("stage", "paths"), READERS.items(), ids=READERS.keys())
def test_a_folder_was_read_as_it_was_then(
    relabelled: Project, asked: Asked, stage: str, paths: tuple[str, ...], rev: str
) -> None:
    graph = trace(asked, f"models/{stage}@{rev}")
    (run,) = relabelled.runs(stage)
    assert shown(graph, stage) == [run.info.run_id]
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
    assert shown(impact(asked, f"{path}@v1"), stage) == reached
    graph = impact(asked, f"{path}@v2")
    assert shown(graph, stage) == []
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
    found = {stage for stage in (*READERS, "whole", "sibling") if shown(graph, stage)}
    assert found == stages
    assert graph.warnings == ()


@pytest.mark.parametrize("stage", READERS)
def test_where_the_listing_is_nowhere_nothing_is_linked_and_that_is_told(
    relabelled: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stage: str
) -> None:
    project = relabelled.copy(tmp_path / "project")
    shutil.rmtree(project.root / ".dvc" / "cache")
    shutil.rmtree(project.root / "data" / "train")
    monkeypatch.chdir(project.root)
    (run,) = project.runs(stage)
    for rev in ("v1", "v2"):
        graph = trace(Asked.find(), f"models/{stage}@{rev}")
        assert shown(graph, stage) == [run.info.run_id]
        assert outputs_in(graph) == set()
        (warning,) = graph.warnings
        assert "cannot be told" in warning
        graph = impact(Asked.find(), f"data/train@{rev}")
        assert shown(graph, stage) == []
        assert any("cannot be told" in each for each in graph.warnings)


# A file inside of a folder.


@pytest.fixture(scope="module")
def one_file(new_project: Callable[[], Project]) -> Project:
    """The folder has a second version, and train has read a file of the first only."""
    code = pipeline(dep="data/train/labels.txt", train="python stage.py model")
    project = begin(new_project(), code)
    project.run("dvc", "repro")
    project.release("v1")
    project.write("labels.txt", "dog")
    project.run("dvc", "repro", "--single-item", "prepare")
    project.release("v2")
    assert folder_of(project, "v1") != folder_of(project, "v2")
    assert project.lock(rev="v1")["train"] == project.lock(rev="v2")["train"]
    return project


@pytest.mark.parametrize("ref", ["models/m@v2", "models/m@v1", "models/m"])
def test_a_file_was_read_in_the_folder_that_held_it(one_file: Project, ask: Ask, ref: str) -> None:
    graph = trace(ask(one_file), ref)
    assert versions_of(graph, "data/train") == {folder_of(one_file, "v1")}
    assert shown(graph, "train") == ids(*one_file.runs("train"))
    assert graph.warnings == ()


def test_a_folder_reaches_who_read_its_files_and_nobody_else(one_file: Project, ask: Ask) -> None:
    (train,) = one_file.runs("train")
    asked = ask(one_file)
    assert shown(impact(asked, "data/train@v1"), "train") == ids(train)
    assert shown(impact(asked, "data/train@v2"), "train") == []
    assert versions_of(impact(asked, "data/train@v2"), "models/m") == set()


def test_a_worktree_without_the_listing_says_so(one_file: Project, ask: Ask) -> None:
    # DVC's cache is the main worktree's own, and there is no remote.
    graph = trace(ask(worktree(one_file)), "models/m")
    assert shown(graph, "train") == ids(*one_file.runs("train"))
    (warning,) = graph.warnings
    assert "cannot be told" in warning
