"""A small DVC project on a real git repository, with a real MLflow store."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

SOURCE = Path(__file__).resolve().parents[2] / "src"
BIN = Path(sys.executable).parent

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

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command as the head of a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            start_new_session=True,
            # What runs in a shell's background, as CI may, inherits Ctrl-C as ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh sqlite store; making one takes seconds, copying it does not."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = mlflow.MlflowClient(f"sqlite:///{path}")
    client.search_experiments()
    client.search_registered_models()
    return path


@pytest.fixture(scope="session")
def new_project(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Callable[[], Project]:
    """Make a project with git, DVC, a stage script and an empty store."""

    def make() -> Project:
        root = tmp_path_factory.mktemp("project").resolve()
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
        project.write("stage.py", STAGE)
        project.write("params.yaml", "tracking: {experiment: bridge}\n")
        project.write(".gitignore", "/mlflow.db*\n/mlartifacts/\n/started\n")
        shutil.copy(empty_store, root / "mlflow.db")
        return project

    return make


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Iterator[Project]:
    """A project of the test's own."""
    return new_project()


def tag(run: Run, name: str) -> dict[str, str]:
    """A run tag that holds JSON."""
    return dict(json.loads(run.data.tags[name]))


def hashes(items: Sequence[dict]) -> dict[str, str]:
    """Path -> hash of lock entries."""
    return {item["path"]: item["md5"] for item in items}
