"""What a clone elsewhere is told, with only git, the remote and the MLflow server.

The project has what the story of `test_story` has not: data of `dvc add`, a stage that gives
other bytes each time, metrics that git keeps. Expected is what git, the text of dvc.lock, DVC's
own hash of a folder and the MLflow client say.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

from lineage.cli import main
from lineage.join.graph import ExecutionNode
from lineage.project import Project as Asked
from lineage.verbs.impact import impact
from lineage.verbs.log import log
from lineage.verbs.show import show
from lineage.verbs.sync import sync
from lineage.verbs.trace import trace
from tests.conftest import S3Remote
from tests.lineage.conftest import SHORT_LIVED, Project, hashes, tag
from tests.lineage.graphs import data_of, runs_of
from tests.lineage.stories.toy_model import install_toy_model

pytestmark = pytest.mark.slow

WORK = """
import json, os, sys
from pathlib import Path
import lineage, mlflow

verb = sys.argv[1]
with lineage.stage({"train": "training"} if verb == "train" else {}) as run:
    if verb == "convert":
        run.out("train").mkdir(parents=True)
        rows = Path("raw.txt").read_text() + Path("extra/words.txt").read_text()
        (run.out("train") / "rows.txt").write_text(rows)
    elif verb == "train":
        run.out("m").mkdir(parents=True)
        (run.out("m") / "weights").write_text(os.urandom(8).hex())
    else:
        rows = len((run.dep("train").location / "rows.txt").read_text())
        run.out("metrics").parent.mkdir(exist_ok=True)
        run.out("metrics").write_text(json.dumps({"rows": rows}))
"""
PIPELINE = """
stages:
  convert:
    cmd: python work.py convert
    deps: [raw.txt, extra]
    outs: [data/train: {type: dataset}]
  train:
    cmd: python work.py train
    deps: [data/train]
    outs: [models/m: {type: model}]
  evaluate:
    cmd: python work.py evaluate
    deps: [models/m, data/train]
    metrics: [reports/metrics.json: {cache: false}]
"""
# In a process of its own, so that nothing of lineage takes part.
HASH_BY_DVC = """
import sys, tempfile
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_objects.fs.local import LocalFileSystem

fs = LocalFileSystem()
nowhere = HashFileDB(fs, tempfile.mkdtemp())
print(build(nowhere, sys.argv[1], fs, "md5", dry_run=True)[2].hash_info.value)
"""
BY_HAND = """
import mlflow
from toy_model import Toy

mlflow.set_experiment("own")
with mlflow.start_run() as run:
    mlflow.log_input(mlflow.data.from_dvc("data/train", rev="v1"), context="training")
    mlflow.pyfunc.log_model(
        name="own", python_model=Toy(), pip_requirements=[], registered_model_name="own"
    )
    print("run:", run.info.run_id)
"""


@dataclass(frozen=True)
class Elsewhere:
    """A clone whose origin's workspace and cache are gone."""

    clone: Project
    uri: str
    commits: tuple[str, ...]
    """Ids of what `v1`, `again` and `v2` point to."""

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(self.uri)

    def runs(self, stage: str) -> list[Run]:
        """Of a stage, oldest first."""
        experiment = self.client.get_experiment_by_name("elsewhere").experiment_id
        query = f"tags.`dvc.stage` = '{stage}'"
        order = ["attributes.start_time ASC"]
        return list(self.client.search_runs([experiment], query, order_by=order))

    def out(self, rev: str, path: str) -> str:
        """The hash that a revision's lock, or ``.dvc`` file, has of a path."""
        if path == "extra":
            said = self.clone.run("git", "show", f"{rev}:extra.dvc").stdout
            return str(YAML(typ="safe").load(said)["outs"][0]["md5"])
        stages = self.clone.lock(rev=rev).values()
        return next(found[path] for each in stages if path in (found := hashes(each["outs"])))

    def hash_by_dvc(self, folder: Path) -> str:
        return self.clone.run(sys.executable, "-c", HASH_BY_DVC, str(folder)).stdout.strip()


@pytest.fixture(scope="module")
def elsewhere(
    new_project: Callable[[], Project],
    mlflow_server: str,
    s3_remote: S3Remote,
    tmp_path_factory: pytest.TempPathFactory,
) -> Elsewhere:
    """Trained, trained again to other bytes, and on other data; then pushed and cloned."""
    folder = tmp_path_factory.mktemp("elsewhere")
    plugins = folder / "plugins"
    install_toy_model(plugins)

    project = new_project()
    project.environment |= {"MLFLOW_TRACKING_URI": mlflow_server, **s3_remote.environment}
    project.environment["PYTHONPATH"] += f":{plugins}"
    project.write("work.py", SHORT_LIVED + WORK)
    project.write("dvc.yaml", PIPELINE)
    project.write("params.yaml", "tracking: {experiment: elsewhere}\n")
    project.write("raw.txt", "one")
    project.write("extra/words.txt", "few")
    project.run("dvc", "add", "--quiet", "extra")
    project.run("dvc", "remote", "add", "--default", "storage", s3_remote.new().url)
    project.commit("code")
    commits = []
    for name, raw, words in (("v1", "one", "few"), ("again", "one", "few"), ("v2", "two", "many")):
        project.write("raw.txt", raw)
        if name == "again":
            project.run("dvc", "repro", "--force", "--single-item", "train")
        if name == "v2":
            project.write("extra/words.txt", words)
            project.run("dvc", "add", "--quiet", "extra")
        project.run("dvc", "repro")
        commits.append(project.commit(name))
        project.run("git", "tag", name)
        if name == "v1":
            project.run("git", "switch", "--quiet", "--create", "other")
    project.run("git", "switch", "--quiet", "main")
    project.run("dvc", "push", "--all-tags", "--run-cache")

    project.run("git", "init", "--quiet", "--bare", "--initial-branch", "main", str(folder / "o"))
    project.run("git", "push", "--quiet", str(folder / "o"), "--all")
    project.run("git", "push", "--quiet", str(folder / "o"), "--tags")
    project.run("git", "clone", "--quiet", str(folder / "o"), str(folder / "clone"))
    shutil.rmtree(project.root)
    return Elsewhere(Project(folder / "clone", project.environment), mlflow_server, tuple(commits))


@pytest.fixture
def asked(elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The clone, as who works in it asks."""
    environment = elsewhere.clone.environment
    for name in ("MLFLOW_TRACKING_URI", *(key for key in environment if "AWS" in key)):
        monkeypatch.setenv(name, environment[name])
    monkeypatch.syspath_prepend(environment["PYTHONPATH"].rpartition(":")[2])
    monkeypatch.delitem(sys.modules, "toy_model", raising=False)
    monkeypatch.chdir(elsewhere.clone.root)
    return Asked.find()


def test_other_bytes_of_the_same_signature_have_their_own_run(
    elsewhere: Elsewhere, asked: Asked
) -> None:
    once, again = (
        next(
            run
            for run in elsewhere.runs("train")
            if tag(run, "dvc.outs")["models/m"] == elsewhere.out(rev, "models/m")
        )
        for rev in ("v1", "again")
    )
    assert once.data.tags["dvc.signature"] == again.data.tags["dvc.signature"]
    (convert, _) = elsewhere.runs("convert")
    for rev, run in (("v1", once), ("again", again)):
        graph = trace(asked, f"models/m@{rev}")
        assert runs_of(graph) == {run.info.run_id, convert.info.run_id}
        paths = ("models/m", "data/train", "extra")
        assert data_of(graph) == {(path, elsewhere.out(rev, path)) for path in paths}


def test_added_data_are_versions_like_others(elsewhere: Elsewhere, asked: Asked) -> None:
    for rev in ("v1", "v2"):
        digest = elsewhere.out(rev, "extra")
        reached, known = set(), {digest}
        stages = [
            run for stage in ("convert", "train", "evaluate") for run in elsewhere.runs(stage)
        ]
        for run in stages:
            if known & set(tag(run, "dvc.deps").values()):
                reached.add(run.info.run_id)
                known |= set(tag(run, "dvc.outs").values())
        assert runs_of(impact(asked, digest)) == reached
        (version,) = [each for each in log(asked, "extra").versions if each.item.hash == digest]
        assert version.runs == 1
        assert rev in version.names


@pytest.mark.parametrize(
    ("ref", "path", "rev"),
    [
        ("models/m@again", "models/m", "again"),
        ("data/train@v1", "data/train", "v1"),
        ("extra@v2", "extra", "v2"),
        ("", "data/train", "v2"),
    ],
    ids=["model", "dataset", "added", "hash"],
)
def test_bytes_come_back_with_the_hash_that_dvc_gives_them(
    elsewhere: Elsewhere, asked: Asked, tmp_path: Path, ref: str, path: str, rev: str
) -> None:
    del asked
    shutil.rmtree(elsewhere.clone.root / ".dvc" / "cache", ignore_errors=True)
    digest = elsewhere.out(rev, path)
    assert main(["checkout", ref or digest[:10], str(tmp_path / "out")]) == 0
    assert elsewhere.hash_by_dvc(tmp_path / "out") == digest
    assert elsewhere.clone.run("git", "status", "--porcelain").stdout == ""


def test_every_verb_agrees_with_git_checkout(
    elsewhere: Elsewhere, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    del asked

    def answer(*words: str) -> object:
        assert main(list(words)) == 0
        said = capsys.readouterr().out
        return without(json.loads(said)) if words[-1] == "--json" else said

    def without(found: dict) -> dict:
        # What only the working tree itself can be asked, and how it was asked for.
        for name in ("subject", "skipped", "a", "b"):
            found.pop(name, None)
        for place in found.get("places", {}).values():
            del place["workspace"], place["cache"]
        return found

    def ask(at: str, rev: str) -> dict[str, object]:
        paths = ("data/train", "models/m", "reports/metrics.json", "extra")
        found = {
            f"{verb} {path}": answer(verb, path + at, "--json")
            for verb in ("trace", "impact", "show")
            for path in paths
        }
        for verb in ("trace", "impact", "show"):
            found[verb] = answer(verb, rev, "--json")
        found["diff"] = answer("diff", "v1", rev, "--json")
        found["graph"] = answer("graph", rev)
        found["log"] = answer("log", "--json")
        return found

    clone = elsewhere.clone
    clone.run("dvc", "pull", "--quiet")
    before = ask("@v2", "v2")
    try:
        clone.run("git", "checkout", "--quiet", "v2")
        clone.run("dvc", "pull", "--quiet")
        after = ask("", "HEAD")
    finally:
        clone.run("git", "checkout", "--quiet", "main")
    for question, said in before.items():
        assert after[question] == said, question


def test_a_users_own_model_is_next_to_its_run(elsewhere: Elsewhere, asked: Asked) -> None:
    said = elsewhere.clone.run(sys.executable, "-c", BY_HAND).stdout
    run_id = next(line.split()[1] for line in said.splitlines() if line.startswith("run: "))
    version = "models:/own/1"
    (run,) = show(asked, version).graph.upstream(version)
    node = show(asked, version).graph.nodes[run]
    assert isinstance(node, ExecutionNode)
    assert node.run is not None
    assert node.run.id == run_id
    assert version in show(asked, run_id).graph.downstream(run)
    made_of = ("data/train", elsewhere.out("v1", "data/train"))
    assert made_of in data_of(trace(asked, version))
    assert version in impact(asked, made_of[1]).nodes


def test_an_experiment_that_was_not_pulled_is_told_as_such(
    elsewhere: Elsewhere, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    del asked
    (run, *_) = elsewhere.runs("train")
    elsewhere.client.set_tag(run.info.run_id, "dvc.exp.name", "quick-fox")
    assert main(["trace", "quick-fox"]) == 1
    assert "`dvc exp pull REMOTE quick-fox`" in capsys.readouterr().err


# MLflow's advice to the author of the toy model, who is this test.
@pytest.mark.filterwarnings("ignore:.*type hint:UserWarning")
def test_a_run_written_down_for_a_revision_has_its_metrics(
    elsewhere: Elsewhere, asked: Asked, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del asked
    store = elsewhere.clone.root / "mlflow.db"
    shutil.copy(empty_store, store)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    for _ in range(2):
        for rev in ("v1", "v2"):
            sync(Asked.find(), rev)
    assert len(elsewhere.clone.runs("train")) == 2
    found = {
        tag(run, "dvc.outs")["reports/metrics.json"]: run.data.metrics
        for run in elsewhere.clone.runs("evaluate")
    }
    expected = {
        elsewhere.out(rev, "reports/metrics.json"): json.loads(
            elsewhere.clone.run("git", "show", f"{rev}:reports/metrics.json").stdout
        )
        for rev in ("v1", "v2")
    }
    assert found == expected
    assert len(expected) == 2
