"""Copies of this project as git repositories, in which its pipeline really runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run
from ruamel.yaml import YAML

from tests.conftest import Once

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NEEDED = ["bin", "data", "models", "src", ".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml"]
NEEDED += ["params.yaml", "pyproject.toml", "requirements.lock"]

SMALL = {
    "download.sample.images": 40,
    "train.epochs": 1,
    "train.batch_size": 4,
    "inspect.pictures": 4,
    "evaluate.pictures": 2,
    "register.thresholds": {"AP50": 0.0},
}


@dataclass
class Clone:
    """A fresh clone of the project."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *command: str, ok: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=500,
        )
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done

    def copy(self, root: Path) -> "Clone":
        """A copy, to change."""
        shutil.copytree(self.root, root, symlinks=True)
        return Clone(root, self.environment)

    def repro(self, *arguments: str, **environment: str) -> str:
        """Run `dvc repro`; returns what it said."""
        done = self.run("dvc", "repro", *arguments, **environment)
        return done.stdout + done.stderr

    def fails(self, *arguments: str, **environment: str) -> str:
        """Run a `dvc repro` that must fail; returns what the stage said."""
        done = self.run("dvc", "repro", *arguments, ok=False, **environment)
        assert done.returncode, done.stdout
        assert "Traceback" not in done.stderr, done.stderr
        return done.stderr

    def set(self, **values: object) -> None:
        """Set params, their sections joined by ``__`` instead of dots."""
        self.set_params({key.replace("__", "."): value for key, value in values.items()})

    def set_params(self, values: dict[str, object]) -> None:
        yaml = YAML()
        path = self.root / "params.yaml"
        params = yaml.load(path.read_text())
        for key, value in values.items():
            *sections, name = key.split(".")
            section = params
            for each in sections:
                section = section[each]
            section[name] = value
        with path.open("w") as file:
            yaml.dump(params, file)

    def commit(self, message: str, tag: str | None = None) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)
        if tag:
            self.run("git", "tag", tag)

    def lock(self) -> dict[str, dict]:
        return dict(YAML(typ="safe").load((self.root / "dvc.lock").read_text())["stages"])

    def outs(self) -> dict[str, str]:
        """Path -> hash of every output, as dvc.lock has it."""
        return {out["path"]: out["md5"] for stage in self.lock().values() for out in stage["outs"]}

    def client(self, uri: str | None = None) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(uri or f"sqlite:///{self.root / 'mlflow.db'}")

    def runs(self, uri: str | None = None) -> list[Run]:
        """All runs, oldest first."""
        client = self.client(uri)
        experiments = [each.experiment_id for each in client.search_experiments()]
        return list(client.search_runs(experiments, order_by=["attributes.start_time ASC"]))


def clone_into(root: Path) -> Clone:
    """Make a clone with small settings in an empty folder, nothing run yet."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *NEEDED],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listing.stdout.split("\0")):
        # DVC wrote those here that a run of the pipeline in this tree left.
        is_left = Path(name).name == ".gitignore" and name != ".gitignore"
        if (ROOT / name).is_file() and not is_left:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("DVC_", "MLFLOW_", "GIT_", "PYTHON"))
    }
    clone = Clone(
        root,
        {
            **inherited,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "VIRTUAL_ENV": str(BIN.parent),
            "XDG_CACHE_HOME": str(root / ".git" / "cache"),
        },
    )
    clone.run("git", "init", "--quiet", "--initial-branch", "main")
    clone.run("git", "config", "user.email", "who@example.org")
    clone.run("git", "config", "user.name", "Who")
    clone.set_params(dict(SMALL))
    clone.commit("a fresh clone")
    return clone


@pytest.fixture(scope="session")
def new_clone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Clone]:
    """Make a clone with small settings, nothing run yet."""
    return lambda: clone_into(tmp_path_factory.mktemp("clone").resolve())


@pytest.fixture
def clone(new_clone: Callable[[], Clone]) -> Clone:
    """A clone of the test's own."""
    return new_clone()


@pytest.fixture(scope="session")
def finished(
    once: Once, new_clone: Callable[[], Clone], tmp_path_factory: pytest.TempPathFactory
) -> Clone:
    """A clone whose whole pipeline ran once. Tests must leave it as they found it.

    The pipeline runs once for all the processes of a test run, and each has a copy of what it
    left: DVC lets only one command at a time into a repository.
    """

    def make(_folder: Path) -> Clone:
        clone = new_clone()
        clone.repro()
        clone.commit("ran the pipeline")
        return clone

    return once("finished", make).copy(tmp_path_factory.mktemp("finished") / "clone")


@pytest.fixture(scope="session")
def two_versions(once: Once, finished: Clone) -> Clone:
    """The finished one as data-v1, and more images, as far as convert, as data-v2.

    Tests must leave it as they found it.
    """

    def make(folder: Path) -> Clone:
        clone = finished.copy(folder / "project")
        clone.run("git", "tag", "data-v1")
        clone.set(download__sample__images=44)
        clone.repro("convert")
        clone.commit("More images", tag="data-v2")
        return clone

    return once("two versions", make)


@pytest.fixture
def copied(finished: Clone, tmp_path: Path) -> Clone:
    """A copy of the finished one, to change."""
    return finished.copy(tmp_path / "copied")


def tag(run: Run, name: str) -> dict[str, str]:
    """A run tag that holds JSON."""
    return dict(json.loads(run.data.tags[name]))
