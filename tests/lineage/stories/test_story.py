"""A project's story on real git, DVC, S3 and an MLflow server, and what every verb says of it.

What is expected is worked out with git, the text of dvc.lock and the MLflow client alone.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

from lineage.cli import main
from lineage.formats import render
from lineage.join.graph import ExecutionNode
from lineage.project import Project as Asked
from lineage.tracking.facts import VersionNode
from lineage.verbs.checkout import checkout
from lineage.verbs.diff import diff
from lineage.verbs.impact import impact
from lineage.verbs.log import log
from lineage.verbs.report import report
from lineage.verbs.show import show
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from lineage.verbs.verify import verify
from tests.conftest import S3Remote
from tests.lineage.conftest import SHORT_LIVED, Project, hashes
from tests.lineage.graphs import data_of, runs_of
from tests.lineage.stories.toy_model import install_toy_model

pytestmark = pytest.mark.slow

WORK = """
import json, sys
from pathlib import Path
import lineage, mlflow

verb = sys.argv[1]
with lineage.stage({"train": "training"} if verb == "train" else {}) as run:
    if verb == "prepare":
        for name in ("train", "val"):
            run.out(name).mkdir(parents=True)
            (run.out(name) / "rows.txt").write_text(name + Path("raw.txt").read_text())
    elif verb == "train":
        run.out("m").mkdir(parents=True)
        rows = (run.dep("train").location / "rows.txt").read_text()
        (run.out("m") / "weights").write_text(rows + Path("params.yaml").read_text())
        mlflow.log_metric("loss", 0.25)
    else:
        model, val = run.dep("m"), run.dep("val")
        registration = lineage.Registration(
            "toy", model.path, model.hash, val.path, val.hash, {"AP": 0.5}, {"AP": 0.1}, "accepted"
        )
        run.out("register").parent.mkdir(exist_ok=True)
        run.out("register").write_text(json.dumps(registration.as_dict()))
        lineage.register(run.project, registration)
"""
PIPELINE = """
stages:
  prepare:
    cmd: python work.py prepare
    deps: [raw.txt]
    outs: [data/train: {type: dataset}, data/val: {type: dataset}]
  train:
    cmd: python work.py train
    deps: [data/train]
    params: [train]
    outs: [models/m: {type: model}]
  register:
    cmd: python work.py register
    deps: [models/m, data/val]
    outs: [reports/register.json: {type: report, labels: [registration]}]
"""
PARAMS = "tracking: {experiment: story}\ntrain: {epochs: 1}\n"


@dataclass(frozen=True)
class Story:
    """What happened, and where."""

    project: Project
    uri: str

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    @property
    def runs(self) -> list[Run]:
        """Every run of the story, oldest first."""
        experiment = self.client.get_experiment_by_name("story").experiment_id
        return list(self.client.search_runs([experiment], order_by=["attributes.start_time ASC"]))

    def locks(self) -> Iterator[tuple[str, dict]]:
        """(commit, stages) of every commit that any reference reaches and that has a lock."""
        for commit in self.project.run("git", "rev-list", "--all").stdout.split():
            done = self.project.run("git", "show", f"{commit}:dvc.lock", ok=False)
            if done.returncode == 0:
                yield commit, dict(YAML(typ="safe").load(done.stdout)["stages"])

    def outs(self, rev: str) -> dict[str, str]:
        """Path -> hash of all that the lock of a revision, or experiment, says was written."""
        if rev == "quick":
            names = self.project.run("git", "for-each-ref", "--format=%(refname)").stdout.split()
            rev = next(name for name in names if name.endswith("/quick"))
        stages = self.project.lock(rev=rev).values()
        return {path: digest for stage in stages for path, digest in hashes(stage["outs"]).items()}


def side(run: Run, name: str) -> dict[str, str]:
    return dict(json.loads(run.data.tags.get(f"dvc.{name}", "{}")))


@pytest.fixture(scope="module")
def story(new_project: Callable[[], Project], mlflow_server: str, s3_remote: S3Remote) -> Story:
    """Three dataset versions on two branches, two models, `-f`, the run-cache, an experiment."""
    project = new_project()
    plugins = project.root / "plugins"
    project.environment |= {"MLFLOW_TRACKING_URI": mlflow_server, **s3_remote.environment}
    project.environment["PYTHONPATH"] += f":{plugins}"
    install_toy_model(plugins)
    project.write("work.py", SHORT_LIVED + WORK)
    project.write("dvc.yaml", PIPELINE)
    project.write("params.yaml", PARAMS)
    project.write("raw.txt", "one")
    project.run("dvc", "remote", "add", "--default", "storage", s3_remote.new().url)
    project.commit("code")
    project.run("dvc", "repro")
    project.commit("first")
    project.run("git", "tag", "v1")
    client = mlflow.MlflowClient(mlflow_server)
    client.set_registered_model_alias("toy", "champion", "1")

    project.run("git", "switch", "--quiet", "--create", "relabel")
    project.write("raw.txt", "two")
    project.run("dvc", "repro")
    project.commit("second")
    project.run("git", "tag", "v2")

    project.run("git", "switch", "--quiet", "main")
    project.run("dvc", "checkout", "--quiet")
    project.write("raw.txt", "three")
    project.run("dvc", "repro", "prepare")
    project.run("dvc", "repro", "--force", "--single-item", "prepare")
    project.commit("third")
    project.run("git", "tag", "v3")

    project.write("raw.txt", "one")
    project.run("dvc", "repro")  # all from the run-cache
    project.commit("back to the first")
    project.run("dvc", "exp", "run", "--name", "quick", "--set-param", "train.epochs=2")
    project.run("git", "checkout", "--quiet", "--", ".")
    project.run("dvc", "checkout", "--quiet")
    project.run("dvc", "push", "--all-branches", "--all-tags")
    return Story(project, mlflow_server)


@pytest.fixture
def asked(story: Story, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The project, as who works in it asks."""
    for name in (
        "MLFLOW_TRACKING_URI",
        *(key for key in story.project.environment if "AWS" in key),
    ):
        monkeypatch.setenv(name, story.project.environment[name])
    monkeypatch.syspath_prepend(str(story.project.root / "plugins"))
    monkeypatch.delitem(sys.modules, "toy_model", raising=False)
    monkeypatch.chdir(story.project.root)
    return Asked.find()


def test_the_story_left_the_runs_that_it_should(story: Story) -> None:
    stages = [run.data.tags["dvc.stage"] for run in story.runs]
    assert stages.count("prepare") == 4  # one, two, three, and three again with -f
    assert stages.count("train") == 3  # v1, v2, the experiment; the run-cache made none
    assert {run.info.status for run in story.runs} == {"FINISHED"}


def test_trace_names_the_bytes_and_runs_behind_the_champion(story: Story, asked: Asked) -> None:
    graph = trace(asked, "models:/toy@champion")
    outs = story.outs("v1")
    assert data_of(graph) == {(path, outs[path]) for path in ("models/m", "data/train")}
    expected = {
        run.info.run_id
        for run in story.runs
        if {outs["models/m"], outs["data/train"]} & set(side(run, "outs").values())
    }
    assert runs_of(graph) == expected
    (root,) = graph.roots
    assert root == "models:/toy/1"
    assert trace(asked, "models:/toy/1").as_dict() == graph.as_dict()


def test_impact_reaches_what_read_it_and_not_what_wrote_it(story: Story, asked: Asked) -> None:
    bad = story.outs("v1")["data/train"]
    reached, hashes_reached = set(), {bad}
    for _ in story.runs:
        for run in story.runs:
            if hashes_reached & set(side(run, "deps").values()):
                reached.add(run.info.run_id)
                hashes_reached |= set(side(run, "outs").values())
    graph = impact(asked, bad)
    assert runs_of(graph) == reached
    writers = {run.info.run_id for run in story.runs if bad in side(run, "outs").values()}
    assert writers
    assert not writers & runs_of(graph)
    versions = {
        f"models:/toy/{version.version}": version
        for version in story.client.search_model_versions("name = 'toy'")
        if version.tags["dvc.hash"] in hashes_reached
    }
    found = {node.id: node for node in graph.nodes.values() if isinstance(node, VersionNode)}
    assert found.keys() == versions.keys()
    aliases = story.client.get_registered_model("toy").aliases
    for name, node in found.items():
        assert set(node.aliases) == {a for a, v in aliases.items() if f"models:/toy/{v}" == name}


def test_log_lists_every_version_of_every_revision(story: Story, asked: Asked) -> None:
    expected = {
        (path, digest)
        for _, stages in story.locks()
        for path, digest in hashes(stages["prepare"]["outs"]).items()
    }
    found = {(version.item.path, version.item.hash): version for version in log(asked).versions}
    assert found.keys() == expected
    assert len(expected) == 6
    for (path, digest), version in found.items():
        readers = [run for run in story.runs if digest in side(run, "deps").values()]
        assert version.runs == len(readers), path
        oldest = [
            commit for commit, stages in story.locks() if digest in json.dumps(stages["prepare"])
        ][-1]
        assert version.commit.id == oldest
    newest = found["data/train", story.outs("v2")["data/train"]]
    assert set(newest.names) == {"relabel", "v2"}
    assert newest.models == ("models:/toy/2",)


def test_show_says_where_it_is(story: Story, asked: Asked) -> None:
    digest = story.outs("v2")["data/train"]
    place = show(asked, "data/train@v2").places[digest]
    assert (place.workspace, place.stored.cache, place.stored.remote) == ((), True, True)
    here = show(asked, "data/train").places[story.outs("HEAD")["data/train"]]
    assert here.workspace == ("data/train",)


def test_diff_finds_the_param_of_the_experiment_and_the_labels_of_the_branch(
    story: Story, asked: Asked
) -> None:
    found = diff(asked, "main", "quick")
    (change,) = found.params
    assert (change.stage, change.name, change.before, change.after) == (
        "train",
        "train.epochs",
        "1",
        "2",
    )
    between = diff(asked, "v1", "v2")
    expected = {path: (story.outs("v1")[path], story.outs("v2")[path]) for path in story.outs("v1")}
    changed = {each.path: (each.before.hash, each.after.hash) for each in between.data}
    assert changed == {path: pair for path, pair in expected.items() if pair[0] != pair[1]}
    assert diff(asked, "v1", "main").is_equal  # from the run-cache


def test_verify_finds_nothing_and_the_forced_rerun_is_a_confirmation(
    story: Story, asked: Asked
) -> None:
    assert verify(asked).breaks == ()
    node = next(
        node
        for node in trace(asked, "data/train@v3").nodes.values()
        if isinstance(node, ExecutionNode)
    )
    three = [run for run in story.runs if story.outs("v3")["data/train"] in str(run.data.tags)]
    prepared = [run.info.run_id for run in three if run.data.tags["dvc.stage"] == "prepare"]
    assert node.run is not None
    assert [node.run.id, *(run.id for run in node.confirmations)] == prepared


def test_graph_and_report_name_what_they_are_about(story: Story, asked: Asked) -> None:
    graph = trace(asked, "models:/toy@champion")
    digest = story.outs("v1")["data/train"]
    for form in ("mermaid", "dot", "html", "openlineage"):
        assert digest[:8] in render(graph, form, namespace="https://example.org/story")
    said = report(asked, "v2", base="v1")
    for stage in ("prepare", "train", "register"):
        assert f"`{stage}`" in said
    assert "models:/toy/2" in said
    assert story.outs("v2")["data/train"][:8] in said


@pytest.mark.parametrize(
    "words",
    [
        ["log"],
        ["show", "v1"],
        ["trace", "quick"],
        ["impact", "v2"],
        ["diff", "v1", "v3"],
        ["verify"],
        ["sync"],
    ],
    ids=lambda words: words[0],
)
def test_every_verb_gives_json(
    asked: Asked, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)


def test_a_script_of_the_users_own_is_reached(story: Story, asked: Asked) -> None:
    code = (
        "import mlflow; mlflow.set_experiment('own')\n"
        "with mlflow.start_run() as run:\n"
        "    data = mlflow.data.from_dvc('data/train', rev='v2')\n"
        "    mlflow.log_input(data, context='training'); print(run.info.run_id)"
    )
    said = story.project.run(sys.executable, "-c", code).stdout
    run_id = said.split()[0]
    try:
        assert run_id in runs_of(impact(asked, "data/train@v2"))
        expected = ("data/train", story.outs("v2")["data/train"])
        assert expected in data_of(trace(Asked.find(), run_id))
    finally:
        story.client.delete_run(run_id)


@pytest.fixture(scope="module")
def clone(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A fresh clone elsewhere; the first workspace and its cache are out of reach."""
    folder = tmp_path_factory.mktemp("elsewhere")
    project = story.project
    subprocess.run(
        ["git", "clone", "--quiet", "--mirror", project.root, folder / "o.git"], check=True
    )
    subprocess.run(["git", "clone", "--quiet", folder / "o.git", folder / "clone"], check=True)
    environment = {**project.environment}
    plugins = folder / "clone" / "plugins"
    environment["PYTHONPATH"] = environment["PYTHONPATH"].replace(
        str(project.root / "plugins"), str(plugins)
    )
    return Project(folder / "clone", environment)


@pytest.fixture
def gone(story: Story, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """While this lasts, the first workspace and its cache do not exist."""
    away = tmp_path_factory.mktemp("away") / "project"
    shutil.move(story.project.root, away)
    yield
    shutil.move(away, story.project.root)


def hash_of_folder(folder: Path) -> str:
    """DVC's hash of a folder, worked out by hand."""
    listing = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name}
        for path in sorted(folder.iterdir())
    ]
    return f"{hashlib.md5(json.dumps(listing).encode()).hexdigest()}.dir"


def test_a_fresh_clone_brings_the_champion_and_its_data_back(
    story: Story,
    clone: Project,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    outs, version = story.outs("v1"), story.client.get_model_version_by_alias("toy", "champion")
    monkeypatch.chdir(clone.root)
    request.getfixturevalue("gone")
    here = Asked.find()
    checkout(here, "models:/toy@champion", tmp_path / "model")
    assert hash_of_folder(tmp_path / "model") == version.tags["dvc.hash"] == outs["models/m"]
    checkout(here, "models:/toy@champion", tmp_path / "inputs", inputs=True)
    checkout(here, "data/train@v1", tmp_path / "train")
    assert hash_of_folder(tmp_path / "train") == outs["data/train"]
    code = (
        "import mlflow, sys\n"
        f"run = mlflow.get_run('{version.tags['dvc.run']}')\n"
        "source = mlflow.data.get_source(run.inputs.dataset_inputs[0])\n"
        f"print(source.load(r'{tmp_path / 'loaded'}'))"
    )
    clone.run(sys.executable, "-c", code)
    assert hash_of_folder(tmp_path / "loaded") == outs["data/train"]
    assert clone.run("git", "status", "--porcelain").stdout == ""


# MLflow's advice to the author of the toy model, who is this test.
@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
def test_an_empty_store_is_filled_once(
    story: Story, clone: Project, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{clone.root}/fresh.db")
    monkeypatch.chdir(clone.root)
    stages = {"prepare", "train", "register"}
    assert set(sync(Asked.find()).runs) == stages

    def counts() -> tuple[int, int, int]:
        client = mlflow.MlflowClient(f"sqlite:///{clone.root}/fresh.db")
        ids = [each.experiment_id for each in client.search_experiments()]
        return (
            len(client.search_runs(ids)),
            len(client.search_model_versions()),
            len(client.search_logged_models(ids)),
        )

    assert counts() == (3, 1, 1)
    assert sync(Asked.find()).runs == ()
    assert counts() == (3, 1, 1)
    graph = trace(Asked.find(), "models:/toy@candidate")
    assert data_of(graph) == {
        (path, story.outs("main")[path]) for path in ("models/m", "data/train")
    }
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    assert all(node.run and node.run.backfilled for node in nodes)
    assert verify(Asked.find()).breaks == ()


def test_a_revision_from_another_branch_is_as_if_it_were_checked_out(
    story: Story, clone: Project, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_main = trace(asked, "models/m@v2").as_dict()
    clone.run("git", "checkout", "--quiet", "v2")
    clone.run("dvc", "pull", "--quiet")
    monkeypatch.chdir(clone.root)
    there = trace(Asked.find(), "models/m").as_dict()
    for graph in (from_main, there):
        for node in graph["nodes"]:
            node.pop("revisions", None)  # a clone has other names for them
    assert there == from_main
    # The experiment registered its model too, and nobody pushed it.
    assert {each.subject for each in verify(Asked.find()).breaks} == {
        story.outs("quick")["models/m"]
    }
