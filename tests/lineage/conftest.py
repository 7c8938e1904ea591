"""A small DVC project on a real git repository, with a real MLflow store."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

from lineage.cli import main
from lineage.project import Project as Asked
from lineage.verbs.sync import sync
from tests.conftest import Once, served_by_mlflow

SOURCE = Path(__file__).resolve().parents[2] / "src"
BIN = Path(sys.executable).parent

SHORT_LIVED = """
import atexit, gc
gc.disable()
atexit.register(gc.freeze)
"""
"""Begins a script that runs for a moment: of that, looking for garbage takes a third."""

STAGE = '''
"""Writes a text to the stage's outputs; what else it does, its arguments say."""
import os, sys, time
from pathlib import Path
import lineage

text, *extras = sys.argv[1:]
try:
    with lineage.stage({"raw": "training"}) as run:
        for extra in extras:
            if extra == "fail":
                raise lineage.LineageError("the sky fell: look up.")
            if extra == "wait":
                Path("started").write_text(run.run_id)
                time.sleep(60)
            if extra.startswith("edit="):
                path, _, edited = extra.removeprefix("edit=").partition(":")
                Path(path).write_text(edited)
        if "random" in extras:
            text = os.urandom(8).hex()
        for path in run.outs:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
except lineage.LineageError as error:
    sys.exit(f"stage: {error}")
except KeyboardInterrupt:
    sys.exit(130)
'''


Ask = Callable[["Project"], Asked]
Said = Callable[..., str]


@dataclass
class Project:
    """A repository to play in."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *command: str, cwd: str = ".", ok: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.root / cwd,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a command as the head of a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env={**self.environment, **environment},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def commit(self, message: str) -> str:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def release(self, name: str) -> str:
        """Commit, and tag the commit with the same name."""
        commit = self.commit(name)
        self.run("git", "tag", name)
        return commit

    def copy(self, root: Path) -> "Project":
        """A copy, to change."""
        shutil.copytree(self.root, root, symlinks=True)
        return replace(self, root=root.resolve(), environment={**self.environment})

    def clone(self, root: Path, *options: str) -> "Project":
        """A git clone, and a copy of the store, since making a fresh one takes seconds."""
        url = self.root.as_uri()
        self.run("git", "clone", "--quiet", *options, url, str(root))
        shutil.copy(self.root / "mlflow.db", root)
        return replace(self, root=root.resolve(), environment={**self.environment})

    def lock(self, folder: str = ".", rev: str | None = None) -> dict[str, dict]:
        """The entries of a dvc.lock, read without this project's code."""
        path = f"{folder}/dvc.lock".removeprefix("./")
        if rev:
            text = self.run("git", "show", f"{rev}:{path}").stdout
        else:
            text = (self.root / path).read_text()
        return dict(YAML(typ="safe").load(text)["stages"])

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(f"sqlite:///{self.root / 'mlflow.db'}")

    def runs(self, stage: str, pipeline: str = "dvc.yaml") -> list[Run]:
        """The stage's runs, oldest first."""
        client = self.client
        experiments = [each.experiment_id for each in client.search_experiments()]
        found = client.search_runs(experiments, order_by=["attributes.start_time ASC"])
        return [
            run
            for run in found
            if run.data.tags.get("dvc.stage") == stage
            and run.data.tags.get("dvc.pipeline") == pipeline
        ]


@pytest.fixture(scope="session")
def blank(once: Once, empty_store: Path) -> Project:
    """A repository with git, DVC, a stage script and an empty store, and no commit yet."""

    def make(root: Path) -> Project:
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("DVC_", "MLFLOW_", "GIT_"))
        }
        project = Project(
            root,
            {
                **inherited,
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "PYTHONPATH": str(SOURCE),
                "PYTHONDONTWRITEBYTECODE": "1",
                "DVC_NO_ANALYTICS": "1",
            },
        )
        project.run("git", "init", "--quiet", "--initial-branch", "main")
        project.run("git", "config", "user.email", "who@example.org")
        project.run("git", "config", "user.name", "Who")
        project.run("dvc", "init", "--quiet")
        project.write("stage.py", SHORT_LIVED + STAGE)
        project.write("params.yaml", "tracking: {experiment: bridge}\n")
        project.write(".gitignore", "/mlflow.db*\n/mlartifacts/\n/started\n")
        shutil.copy(empty_store, root / "mlflow.db")
        return project

    return once("blank", make)


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory, blank: Project) -> Callable[[], Project]:
    """Make a project with git, DVC, a stage script and an empty store."""

    def make() -> Project:
        return blank.copy(tmp_path_factory.mktemp("project").resolve() / "project")

    return make


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Project:
    """A project of the test's own."""
    return new_project()


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[str]:
    """A real `mlflow server`, which other files' tests use too: take an experiment of your own."""
    with served_by_mlflow(tmp_path_factory.mktemp("server"), empty_store) as uri:
        yield uri


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Go to a project, and put questions to it."""

    def find(project: Project) -> Asked:
        monkeypatch.chdir(project.root)
        return Asked.find()

    return find


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a verb that must fail; returns its sentence."""

    def run(*words: str) -> str:
        assert main(list(words)) == 1
        return sentence_of(capsys.readouterr().err)

    return run


def sentence_of(error: str) -> str:
    """What stands on the error stream, which must be one sentence."""
    sentence = error.strip()
    assert sentence.startswith("lineage: ")
    assert "Traceback" not in sentence
    assert "\n" not in sentence
    return sentence


# A project whose stages need no Python, and of whose runs no store knows.

UNTRACKED = """
stages:
  copy:
    cmd: mkdir -p data && cp raw.txt data/made.txt
    deps: [raw.txt]
    outs: [data/made.txt: {type: dataset}]
  train:
    cmd: cp data/made.txt weights.txt
    deps: [data/made.txt]
    outs: [weights.txt: {type: report}]
"""


@pytest.fixture(scope="session")
def origin(once: Once, blank: Project) -> Project:
    """A project whose stages no run is known of, with a revision that has no data, and two."""

    def make(folder: Path) -> Project:
        project = blank.copy(folder / "project")
        project.write("dvc.yaml", UNTRACKED)
        project.write("raw.txt", "none")
        project.commit("code")
        project.run("git", "tag", "bare")
        for name in ("v1", "v2"):
            project.write("raw.txt", name)
            project.run("dvc", "repro", "--quiet")
            project.release(name)
        return project

    return once("origin", make)


@pytest.fixture
def copied(origin: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The test's own copy of it, with the empty store, in whose folder the test works."""
    project = origin.copy(tmp_path / "copy")
    monkeypatch.chdir(project.root)
    return project


@pytest.fixture(scope="session")
def registered(once: Once, origin: Project) -> Project:
    """A copy with backfilled runs and a version of a model."""

    def make(folder: Path) -> Project:
        project = origin.copy(folder / "copy")
        sync(Asked.find(project.root))
        (run,) = project.runs("train")
        client = project.client
        client.create_registered_model("x")
        outs = hashes(project.lock()["train"]["outs"])
        tags = {
            "dvc.hash": outs["weights.txt"],
            "dvc.run": run.info.run_id,
            "dvc.data": json.dumps(hashes(project.lock()["train"]["deps"])),
        }
        client.create_model_version("x", "/nowhere", run_id=run.info.run_id, tags=tags)
        return project

    return once("registered", make)


ONE_STAGE = """
stages:
  make:
    cmd: python stage.py text{extras}
    deps: [stage.py]
    outs: [out.txt]
"""


def with_stage(project: Project, extras: str = "") -> Project:
    """Give a project its one stage, and commit it."""
    project.write("dvc.yaml", ONE_STAGE.format(extras=extras))
    project.commit("a stage")
    return project


def until(found: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a condition that other processes bring about."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def tag(run: Run, name: str) -> dict[str, str]:
    """A run tag that holds JSON."""
    return dict(json.loads(run.data.tags[name]))


def hashes(items: Sequence[dict]) -> dict[str, str]:
    """Path -> hash of lock entries."""
    return {item["path"]: item["md5"] for item in items}


# The same for models, in a store in which a test writes what it needs; see `written`.

TRAINED = """
stages:
  prepare:
    cmd: cp raw.txt data.txt && echo prepared >> data.txt
    deps: [raw.txt]
    outs: [data.txt]
  train:
    cmd: cp data.txt model.txt && echo trained >> model.txt
    deps: [data.txt]
    outs: [model.txt: {type: model}]
"""


@pytest.fixture(scope="session")
def trained(once: Once, blank: Project) -> Project:
    """Two tagged versions of data and model, whose stages need no Python."""

    def make(folder: Path) -> Project:
        project = blank.copy(folder / "project")
        project.write("dvc.yaml", TRAINED)
        for name in ("v1", "v2"):
            project.write("raw.txt", name)
            project.run("dvc", "repro", "--quiet")
            project.release(name)
        return project

    return once("trained", make)


@pytest.fixture
def store(trained: Project, tmp_path: Path) -> Project:
    """The test's own copy, with a store that is still empty."""
    return trained.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def pushed(once: Once, blank: Project) -> Project:
    """Two versions of a folder, a file and an empty folder, in cache and remote."""

    def make(folder: Path) -> Project:
        project = blank.copy(folder / "project")
        # First of all: `dvc push` passes over revisions whose own config names no remote.
        store = f"{project.root}.remote"
        project.run("dvc", "remote", "add", "--default", "--quiet", "store", store)
        project.write("pictures/a.txt", "first")
        project.write("pictures/deep/b.txt", "same")
        project.write("one.txt", "1")
        (project.root / "empty").mkdir()
        project.run("dvc", "add", "--quiet", "pictures", "one.txt", "empty")
        project.commit("version 1")
        project.run("git", "tag", "v1")
        (project.root / "pictures/a.txt").unlink()
        project.write("pictures/a.txt", "second")
        project.run("dvc", "add", "--quiet", "pictures")
        project.commit("version 2")
        project.run("dvc", "push", "--quiet", "--all-commits")
        return project

    return once("pushed", make)
