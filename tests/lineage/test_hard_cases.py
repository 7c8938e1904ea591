"""Where two answers look right and one is: parts, other names, equal bytes, shared stores.

Expected is what git, the text of dvc.lock and the MLflow client say.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run

from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.project import Project as Asked
from lineage.verbs.checkout import checkout
from lineage.verbs.impact import impact
from lineage.verbs.show import show
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from lineage.verbs.verify_break import Check
from tests.lineage.conftest import Project, hashes, tag

pytestmark = pytest.mark.slow

PREPARE = """
stages:
  prepare:
    cmd: mkdir -p {out} && cp raw.txt {out}/rows.txt && cp labels.txt {out}/labels.txt
    deps: [raw.txt, labels.txt]
    outs: [{out}: {{type: dataset}}]
"""
TRAIN = """
  train:
    cmd: python stage.py model
    deps: [{dep}]
    outs: [models/m: {{type: model}}]
"""
SCRIPT = """
import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("mine")
with mlflow.start_run(run_name="by hand"):
    mlflow.log_input(mlflow.data.from_dvc("data/train", rev="v1", name="my own name"))
"""
NOTIFY = """
  notify:
    cmd: python stage.py none $EXTRA
    deps: [data/train]
"""
KEPT = """
stages:
  prepare:
    cmd: mkdir -p data && cp raw.txt data/train && cp labels.txt rows.json
    deps: [raw.txt, labels.txt]
    outs:
    - data/train: {type: dataset}
    - rows.json: {type: dataset, cache: false}
  train:
    cmd: python stage.py model
    deps: [data/train, rows.json]
    outs: [models/m: {type: model}]
"""
FOREACH = """
stages:
  make:
    foreach: ${items}
    do:
      cmd: echo ${item} > ${item}.txt
      deps: [raw.txt]
      outs: ["${item}.txt": {type: dataset}]
"""
SCATTERED = """
stages:
  rows:
    cmd: mkdir -p data && cp raw.txt data/rows.txt
    deps: [raw.txt]
    outs: [data/rows.txt: {type: dataset, remote: two}]
  words:
    cmd: mkdir -p data && cp labels.txt data/words.txt
    deps: [labels.txt]
    outs: [data/words.txt: {type: dataset}]
  train:
    cmd: python stage.py model
    deps: [data/rows.txt, imported.txt]
    outs: [models/m: {type: model}]
  survey:
    cmd: python stage.py text
    deps: [data]
    outs: [survey.txt: {type: report}]
"""


def pipeline(out: str = "data/train", dep: str = "data/train", more: str = "") -> str:
    return PREPARE.format(out=out) + TRAIN.format(dep=dep) + more


def begin(project: Project, pipeline: str) -> Project:
    """The code and what it reads, committed."""
    project.write("dvc.yaml", pipeline)
    project.write("raw.txt", "raw")
    project.write("labels.txt", "cat")
    project.commit("code")
    return project


def save(project: Project, name: str) -> None:
    """Commit, and name it."""
    project.commit(name)
    project.run("git", "tag", name)


def register(project: Project, run: Run) -> None:
    """Register a run's model as ``models:/toy/1``, by MLflow's client alone."""
    client = project.client
    client.create_registered_model("toy")
    tags = {
        "dvc.hash": tag(run, "dvc.outs")["models/m"],
        "dvc.data": run.data.tags["dvc.deps"],
        "dvc.run": run.info.run_id,
    }
    client.create_model_version("toy", run.info.artifact_uri, run.info.run_id, tags=tags)


def copy_of(project: Project, folder: Path) -> Project:
    """A copy, to change."""
    shutil.copytree(project.root, folder / "project", symlinks=True)
    return replace(project, root=folder / "project")


def worktree(project: Project) -> Project:
    """A git worktree of its v1, beside it."""
    name = f"{project.root.name}-wt"
    project.run("git", "worktree", "add", "--quiet", f"../{name}", "v1")
    return replace(project, root=project.root.parent / name)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Asked]:
    """Go to a project, and put questions to it."""

    def find(project: Project) -> Asked:
        monkeypatch.chdir(project.root)
        return Asked.find()

    return find


Ask = Callable[[Project], Asked]


def folder_of(project: Project, rev: str) -> str:
    """The hash of prepare's folder at a revision."""
    return hashes(project.lock(rev=rev)["prepare"]["outs"])["data/train"]


def versions_of(graph: Graph, path: str) -> set[str]:
    """The hashes under which a path is in an answer."""
    data = [node for node in graph.nodes.values() if isinstance(node, DataNode)]
    return {node.hash for node in data if node.path == path}


def shown(graph: Graph, stage: str) -> list[str]:
    """Ids of the runs that an answer shows for a stage, or a script of that name."""
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    return [each.run.id for each in nodes if each.run and each.execution.stage.name == stage]


def ids(*runs: Run) -> list[str]:
    return [run.info.run_id for run in runs]


# A file inside of a folder.


@pytest.fixture(scope="module")
def relabelled(new_project: Callable[[], Project]) -> Project:
    """The folder has a second version, and train has read a file of the first only."""
    project = begin(new_project(), pipeline(dep="data/train/labels.txt"))
    project.run("dvc", "repro")
    save(project, "v1")
    project.write("labels.txt", "dog")
    project.run("dvc", "repro", "--single-item", "prepare")
    save(project, "v2")
    assert folder_of(project, "v1") != folder_of(project, "v2")
    assert project.lock(rev="v1")["train"] == project.lock(rev="v2")["train"]
    return project


@pytest.mark.parametrize("ref", ["models/m@v2", "models/m@v1", "models/m"])
def test_a_file_was_read_in_the_folder_that_held_it(
    relabelled: Project, ask: Ask, ref: str
) -> None:
    graph = trace(ask(relabelled), ref)
    assert versions_of(graph, "data/train") == {folder_of(relabelled, "v1")}
    assert shown(graph, "train") == ids(*relabelled.runs("train"))
    assert graph.warnings == ()


def test_a_folder_reaches_who_read_its_files_and_nobody_else(relabelled: Project, ask: Ask) -> None:
    (train,) = relabelled.runs("train")
    asked = ask(relabelled)
    assert shown(impact(asked, "data/train@v1"), "train") == ids(train)
    assert shown(impact(asked, "data/train@v2"), "train") == []
    assert versions_of(impact(asked, "data/train@v2"), "models/m") == set()


def test_a_worktree_without_the_listing_says_so(relabelled: Project, ask: Ask) -> None:
    # DVC's cache is the main worktree's own, and there is no remote.
    graph = trace(ask(worktree(relabelled)), "models/m")
    assert shown(graph, "train") == ids(*relabelled.runs("train"))
    (warning,) = graph.warnings
    assert "cannot be told" in warning


# The same bytes under another name.


@pytest.fixture(scope="module")
def renamed(new_project: Callable[[], Project]) -> Project:
    """The folder has another path since v2, and a script gave the first a name of its own."""
    project = begin(new_project(), pipeline())
    project.run("dvc", "repro")
    save(project, "v1")
    project.write("dvc.yaml", pipeline("data/renamed", "data/renamed"))
    project.run("dvc", "repro")
    save(project, "v2")
    project.write("script.py", SCRIPT)
    project.run("python", "script.py")
    return project


def test_impact_reaches_who_read_the_same_bytes_under_another_name(
    renamed: Project, ask: Ask
) -> None:
    (before,) = hashes(renamed.lock(rev="v1")["train"]["deps"]).values()
    (after,) = hashes(renamed.lock(rev="v2")["train"]["deps"]).values()
    assert before == after
    runs = renamed.runs("train")
    assert [list(tag(run, "dvc.deps")) for run in runs] == [["data/train"], ["data/renamed"]]
    graph = impact(ask(renamed), "data/train@v1")
    assert sorted(shown(graph, "train")) == sorted(ids(*runs))


def test_impact_reaches_a_script_with_a_name_of_its_own(renamed: Project, ask: Ask) -> None:
    client = renamed.client
    experiment = client.get_experiment_by_name("mine").experiment_id
    (script,) = client.search_runs([experiment])
    (read,) = [each.dataset for each in script.inputs.dataset_inputs]
    assert (read.name, read.digest) == ("my own name", folder_of(renamed, "v1"))
    for ref in ("data/train@v1", read.digest, "data/renamed@v2"):
        assert shown(impact(ask(renamed), ref), "by hand") == ids(script)


def test_show_has_every_reader_of_the_bytes(renamed: Project, ask: Ask) -> None:
    experiment = renamed.client.get_experiment_by_name("mine").experiment_id
    (script,) = renamed.client.search_runs([experiment])
    for ref in ("data/train@v1", "data/renamed@v2"):
        graph = show(ask(renamed), ref).graph
        assert sorted(shown(graph, "train")) == sorted(ids(*renamed.runs("train")))
        assert shown(graph, "by hand") == ids(script)


def test_a_worktree_asks_the_store_of_the_main_one(renamed: Project, ask: Ask) -> None:
    place = worktree(renamed)
    asked = ask(place)
    graph = trace(asked, "models/m")
    assert shown(graph, "train") == ids(renamed.runs("train")[0])
    assert versions_of(graph, "data/train") == {folder_of(renamed, "v1")}
    assert verify(asked, "v1").breaks == verify(ask(renamed), "v1").breaks
    assert list(place.root.rglob("mlflow.db*")) == []


# The same model bytes from other data.


@pytest.fixture(scope="module")
def constant(new_project: Callable[[], Project]) -> Project:
    """Two runs came to one model; the registered version is the second's."""
    project = begin(new_project(), pipeline())
    project.run("dvc", "repro")
    save(project, "v1")
    project.write("raw.txt", "other")
    project.run("dvc", "repro")
    save(project, "v2")
    first, second = project.runs("train")
    assert tag(first, "dvc.outs") == tag(second, "dvc.outs")
    assert tag(first, "dvc.deps") != tag(second, "dvc.deps")
    register(project, second)
    return project


def test_a_model_version_is_traced_to_its_own_run(constant: Project, ask: Ask) -> None:
    graph = trace(ask(constant), "models:/toy/1")
    assert shown(graph, "train") == ids(constant.runs("train")[1])
    assert versions_of(graph, "data/train") == {folder_of(constant, "v2")}
    assert graph.warnings == ()


def test_a_deleted_run_is_told_though_another_made_the_same(
    constant: Project, ask: Ask, tmp_path: Path
) -> None:
    project = copy_of(constant, tmp_path)
    (run,) = ids(project.runs("train")[1])
    project.client.delete_run(run)
    (warning,) = [each for each in trace(ask(project), "models:/toy/1").warnings if run in each]
    assert "was deleted" in warning


def test_a_checkout_brings_the_inputs_of_a_versions_own_run(
    constant: Project, ask: Ask, tmp_path: Path
) -> None:
    brought = checkout(ask(constant), "models:/toy/1", tmp_path / "inputs", inputs=True)
    assert [placed.hash for placed in brought.places] == [folder_of(constant, "v2")]
    assert (tmp_path / "inputs" / "rows.txt").read_text() == "other"


def test_a_hash_that_runs_only_read_is_known(constant: Project, ask: Ask, tmp_path: Path) -> None:
    project = copy_of(constant, tmp_path)
    project.write("raw.txt", "tried, and discarded")
    project.run("dvc", "repro")
    tried = hashes(project.lock()["prepare"]["outs"])["data/train"]
    # What a script read, no stage has: only the dataset that it logged.
    project.write("raw.txt", "tried by a script")
    project.run("dvc", "repro", "--single-item", "prepare")
    by_script = hashes(project.lock()["prepare"]["outs"])["data/train"]
    project.write("script.py", SCRIPT.replace(', rev="v1"', ""))
    project.run("python", "script.py")
    (project.root / "script.py").unlink()
    project.run("git", "checkout", "--quiet", ".")
    assert project.run("git", "status", "--porcelain").stdout == ""
    asked = ask(project)
    experiment = project.client.get_experiment_by_name("mine").experiment_id
    for digest, reader, run in (
        (tried, "train", project.runs("train")[-1]),
        (by_script, "by hand", project.client.search_runs([experiment])[0]),
    ):
        assert asked.history.containing(digest) == []
        for ref in (digest, digest[:10]):
            assert shown(impact(asked, ref), reader) == ids(run)
            assert versions_of(trace(asked, ref), "data/train") == {digest}


def test_who_copied_the_bytes_is_not_reached_by_the_copy(project: Project, ask: Ask) -> None:
    project.write("raw.txt", "raw")
    project.write(
        "dvc.yaml",
        "stages:\n  copy:\n    cmd: python stage.py raw\n    deps: [raw.txt]\n"
        "    outs: [copy.txt]\n  train:\n    cmd: python stage.py model\n"
        "    deps: [copy.txt]\n    outs: [m.txt: {type: model}]\n",
    )
    project.commit("code")
    project.run("dvc", "repro")
    save(project, "v1")
    entry = project.lock()["copy"]
    assert hashes(entry["deps"])["raw.txt"] == hashes(entry["outs"])["copy.txt"]
    for graph in (impact(ask(project), "copy.txt@v1"), impact(ask(project), "copy.txt")):
        assert shown(graph, "copy") == []
        assert shown(graph, "train") == ids(*project.runs("train"))
    assert shown(impact(ask(project), "raw.txt"), "copy") == ids(*project.runs("copy"))


# A stage without outputs.


def test_a_stage_without_outputs_is_the_run_that_finished(project: Project, ask: Ask) -> None:
    begin(project, PREPARE.format(out="data/train") + NOTIFY)
    assert project.run("dvc", "repro", ok=False, EXTRA="fail").returncode != 0
    project.run("dvc", "repro", EXTRA="")
    save(project, "v1")
    failed, finished = project.runs("notify")
    assert [failed.info.status, finished.info.status] == ["FAILED", "FINISHED"]
    asked = ask(project)
    sync(asked)  # prepare's run; notify has its own
    assert ids(*project.runs("notify")) == ids(failed, finished)
    asked = ask(project)
    assert verify(asked).breaks == ()
    assert shown(impact(asked, "data/train@v1"), "notify") == ids(finished)


# What is not pushed.


@pytest.fixture(scope="module")
def kept(new_project: Callable[[], Project]) -> Project:
    """Train reads what DVC pushed, and what git keeps; its model is registered."""
    project = begin(new_project(), KEPT)
    with (project.root / ".gitignore").open("a") as ignored:
        ignored.write("/remote/\n")
    project.run("dvc", "remote", "add", "--default", "storage", "remote")
    project.run("dvc", "repro")
    project.run("dvc", "push")
    save(project, "v1")
    assert project.run("git", "show", "v1:rows.json").stdout == "cat"
    (train,) = project.runs("train")
    assert set(tag(train, "dvc.deps")) == {"data/train", "rows.json"}
    register(project, train)
    sync(Asked.find(project.root))  # prepare's run
    return project


def test_what_was_pushed_once_and_is_not_since_is_not_lost(
    kept: Project, ask: Ask, tmp_path: Path
) -> None:
    project = copy_of(kept, tmp_path)
    digest = folder_of(project, "v1")
    for place in (".dvc/cache", "remote"):
        (project.root / place / "files/md5" / digest[:2] / digest[2:]).unlink()
    assert Check.DATA_LOST in {each.check for each in verify(ask(project)).breaks}
    flags = "data/train: {type: dataset, push: false}"
    project.write("dvc.yaml", KEPT.replace("data/train: {type: dataset}", flags))
    save(project, "v2")
    assert Check.DATA_LOST not in {each.check for each in verify(ask(project)).breaks}
    assert Check.DATA_LOST not in {each.check for each in verify(ask(project), "v1").breaks}


def test_what_git_keeps_is_not_lost(kept: Project, ask: Ask) -> None:
    for rev in (None, "v1"):
        found = verify(ask(kept), rev)
        assert (found.breaks, found.model_versions) == ((), 1)


def test_a_checkout_names_what_git_keeps_and_brings_the_rest(
    kept: Project, ask: Ask, tmp_path: Path
) -> None:
    brought = checkout(ask(kept), "v1", tmp_path / "all")
    files = {
        path.relative_to(tmp_path / "all").as_posix(): path.read_text()
        for path in (tmp_path / "all").rglob("*")
        if path.is_file()
    }
    assert files == {"data/train": "raw", "models/m": "model"}
    (warning,) = brought.warnings
    assert "git show" in warning
    command = warning.partition("`")[2].partition("`")[0].split()
    assert kept.run(*command).stdout == "cat"
    brought = checkout(ask(kept), "models:/toy/1", tmp_path / "inputs", inputs=True)
    (warning,) = brought.warnings
    assert "git show" in warning
    (digest,) = [placed.hash for placed in brought.places]
    assert digest == folder_of(kept, "v1")


def test_who_is_terminated_leaves_no_half_of_a_checkout(kept: Project, tmp_path: Path) -> None:
    project = copy_of(kept, tmp_path)
    digest = folder_of(project, "v1")
    (project.root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]).unlink()
    places = tmp_path / "places"
    places.mkdir()

    def worktrees() -> int:
        return len(project.run("git", "worktree", "list").stdout.splitlines())

    # A remote that says nothing: by the time it is asked, the code is there.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        project.run("dvc", "remote", "modify", "--local", "storage", "url", url)
        process = subprocess.Popen(
            ["lineage", "checkout", "data/train@v1", str(places / "out"), "--code"],
            cwd=project.root,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            connection, _ = silent.accept()
            with connection:
                assert worktrees() == 2
                assert len(list(places.iterdir())) == 1
                os.kill(process.pid, signal.SIGTERM)
                _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "Traceback" not in error
    assert list(places.iterdir()) == []
    assert worktrees() == 1


# What is in a remote of its own, or in another repository.


@pytest.fixture(scope="module")
def scattered(
    new_project: Callable[[], Project], tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A clone with nothing checked out, of data in two remotes and in another repository."""
    source = new_project()
    source.write("words.txt", "imported")
    source.run("dvc", "add", "--quiet", "words.txt")
    source.commit("words")
    project = begin(new_project(), SCATTERED)
    folder = tmp_path_factory.mktemp("scattered")
    project.run("dvc", "import", "--quiet", str(source.root), "words.txt", "--out", "imported.txt")
    project.run("dvc", "remote", "add", "--default", "one", str(folder / "one"))
    project.run("dvc", "remote", "add", "two", str(folder / "two"))
    project.run("dvc", "repro")
    project.run("dvc", "push")
    save(project, "v1")
    register(project, *project.runs("train"))
    sync(Asked.find(project.root))  # the runs of rows and words
    project.run("git", "clone", "--quiet", ".", str(folder / "clone"))
    shutil.copy(project.root / "mlflow.db", folder / "clone" / "mlflow.db")
    return replace(project, root=folder / "clone")


@pytest.mark.parametrize("check", [Check.DATA_LOST, Check.DIFFERS])
def test_what_is_elsewhere_is_neither_lost_nor_different(
    scattered: Project, ask: Ask, check: Check
) -> None:
    assert not (scattered.root / "data" / "rows.txt").exists()
    assert list((scattered.root / ".dvc").glob("cache/files/md5/*/*")) == []
    for rev in (None, "v1"):
        found = verify(ask(scattered), rev)
        assert [each.subject for each in found.breaks if each.check is check] == []
        assert (found.breaks, found.stages, found.model_versions) == ((), 4, 1)


def test_a_checkout_asks_each_remote(scattered: Project, ask: Ask, tmp_path: Path) -> None:
    project = copy_of(scattered, tmp_path)
    brought = checkout(ask(project), "v1", tmp_path / "all")
    files = {
        path.relative_to(tmp_path / "all").as_posix(): path.read_text()
        for path in (tmp_path / "all").rglob("*")
        if path.is_file()
    }
    assert files == {
        "data/rows.txt": "raw",
        "data/words.txt": "cat",
        "models/m": "model",
        "survey.txt": "text",
    }
    (warning,) = brought.warnings
    assert "imported.txt is imported" in warning


# Stages of a list that got shorter.


def test_a_stage_whose_item_is_gone_is_gone(project: Project, ask: Ask) -> None:
    begin(project, FOREACH)
    for name, items in (("v1", "[a, b]"), ("v2", "[a]")):
        project.write("params.yaml", f"tracking: {{experiment: bridge}}\nitems: {items}\n")
        project.run("dvc", "repro")
        save(project, name)
    # DVC leaves the entry where it is.
    assert set(project.lock(rev="v2")) == {"make@a", "make@b"}
    asked = ask(project)
    for rev, stages in (("v2", {"make@a"}), ("v1", {"make@a", "make@b"})):
        nodes = trace(asked, rev).nodes.values()
        found = {each.execution.stage.name for each in nodes if isinstance(each, ExecutionNode)}
        assert found == stages
    assert sync(asked, "v2").runs == ("make@a",)
    assert project.runs("make@b") == []
    (recorded,) = project.runs("make@a")
    assert json.loads(recorded.data.tags["dvc.outs"]) == hashes(
        project.lock(rev="v2")["make@a"]["outs"]
    )
    assert verify(ask(project)).breaks == ()


# Two repositories, one store.


@pytest.fixture(scope="module")
def sharing(new_project: Callable[[], Project]) -> tuple[Project, Project]:
    """The same stages ran in two repositories, and their runs are in one store."""
    projects = []
    for name in "ab":
        project = begin(new_project(), "stages:" + TRAIN.format(dep="raw.txt"))
        project.run("git", "remote", "add", "origin", f"https://example.org/{name}.git")
        projects.append(project)
        project.environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{projects[0].root / 'mlflow.db'}"
        project.run("dvc", "repro")
        save(project, "v1")
    first, second = projects
    assert first.lock() == second.lock()
    return first, second


@pytest.mark.parametrize("which", [0, 1])
def test_a_store_of_two_repositories_gives_each_its_own_run(
    sharing: tuple[Project, Project], ask: Ask, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    project = sharing[which]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", project.environment["MLFLOW_TRACKING_URI"])
    runs = mlflow.MlflowClient(project.environment["MLFLOW_TRACKING_URI"]).search_runs(
        [each.experiment_id for each in sharing[0].client.search_experiments()]
    )
    assert len(runs) == 2
    name = "ab"[which]
    (own,) = [run for run in runs if f"example.org/{name}" in run.data.tags["git.repository"]]
    asked = ask(project)
    for ref in ("models/m", "models/m@v1"):
        assert shown(trace(asked, ref), "train") == ids(own)
    assert verify(asked).breaks == ()
