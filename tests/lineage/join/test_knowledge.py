"""Equal bytes of other names, other runs of equal bytes: which of them an answer is about.

Expected is what git, the text of dvc.lock and the MLflow client say.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from lineage.identity import DataId, Execution, StageId
from lineage.join.knowledge import Known
from lineage.verbs.checkout import checkout
from lineage.verbs.impact import impact
from lineage.verbs.show import show
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.lineage.conftest import Ask, Project, hashes, tag
from tests.lineage.graphs import ids, shown, versions_of
from tests.lineage.trained import PREPARE, begin, folder_of, pipeline, register, worktree
from tests.lineage.written import recorded

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


def train(project: Project) -> None:
    """Run the pipeline; its stage train leaves a run, and no other does."""
    project.run("dvc", "repro")
    recorded(project, "train")


# The same bytes under another name.


@pytest.fixture(scope="module")
def renamed(new_project: Callable[[], Project]) -> Project:
    """The folder has another path since v2, and a script gave the first a name of its own."""
    project = begin(new_project(), pipeline())
    train(project)
    project.release("v1")
    project.write("dvc.yaml", pipeline("data/renamed", "data/renamed"))
    train(project)
    project.release("v2")
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
    train(project)
    project.release("v1")
    project.write("raw.txt", "other")
    train(project)
    project.release("v2")
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
    project = constant.copy(tmp_path / "project")
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
    project = constant.copy(tmp_path / "project")
    project.write("raw.txt", "tried, and discarded")
    train(project)
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


def known(deps: dict[str, str], outs: dict[str, str]) -> Known:
    """An execution with these hashes, of which neither git nor a run is needed to decide."""
    return Known(Execution(StageId("dvc.yaml", "copy"), "5" * 32, deps, outs), None, (), ())


@pytest.mark.parametrize(
    ("deps", "outs", "made_of_a_copy"),
    [
        ({"raw.txt": "a"}, {"copy.txt": "a"}, {"copy.txt"}),
        ({"raw.txt": "a"}, {"copy.txt": "b"}, set()),
        ({"raw.txt": "b"}, {"copy.txt": "a"}, {"copy.txt"}),
        ({"copy.txt": "a"}, {"copy.txt": "a"}, set()),
        ({"copy.txt": "a"}, {"copy.txt": "a", "raw.txt": "a"}, {"raw.txt"}),
    ],
    ids=["copied", "changed", "written", "kept where it was", "kept and copied"],
)
def test_who_wrote_bytes_made_the_version_but_where_it_read_it_there(
    deps: dict[str, str], outs: dict[str, str], made_of_a_copy: set[str]
) -> None:
    execution = known(deps, outs)
    paths = ("raw.txt", "copy.txt")
    assert {path for path in paths if execution.only_copied(DataId(path, "a"))} == made_of_a_copy
    assert execution.names_read("a") == [path for path, digest in deps.items() if digest == "a"]


def test_who_copied_the_bytes_is_not_reached_by_the_copy(project: Project, ask: Ask) -> None:
    project.write("raw.txt", "raw")
    project.write(
        "dvc.yaml",
        "stages:\n  copy:\n    cmd: cp raw.txt copy.txt\n    deps: [raw.txt]\n"
        "    outs: [copy.txt]\n  train:\n    cmd: printf model > m.txt\n"
        "    deps: [copy.txt]\n    outs: [m.txt: {type: model}]\n",
    )
    project.commit("code")
    train(project)
    recorded(project, "copy")
    project.release("v1")
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
    project.release("v1")
    failed, finished = project.runs("notify")
    assert [failed.info.status, finished.info.status] == ["FAILED", "FINISHED"]
    asked = ask(project)
    sync(asked)  # prepare's run; notify has its own
    assert ids(*project.runs("notify")) == ids(failed, finished)
    asked = ask(project)
    assert verify(asked).breaks == ()
    assert shown(impact(asked, "data/train@v1"), "notify") == ids(finished)
