"""An environment that has only this repository's wheel and its base dependencies."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import Once
from tests.lineage.conftest import Project

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "lineage.md").read_text().partition("## In your own pipeline")[2]
UV = Path(sys.executable).parent / "uv"


@dataclass(frozen=True)
class Alone:
    """An installed environment.

    Attributes:
        bin: The folder of its commands.
    """

    bin: Path

    def project(self, root: Path) -> Project:
        """A folder to work in, as who activated this environment does."""
        root.mkdir(parents=True, exist_ok=True)
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "MLFLOW_", "GIT_", "PYTHON"))
        }
        who = {f"GIT_{role}_NAME": "Who" for role in ("AUTHOR", "COMMITTER")}
        who |= {f"GIT_{role}_EMAIL": "who@example.org" for role in ("AUTHOR", "COMMITTER")}
        path = f"{self.bin}:{os.environ['PATH']}"
        alone = {"VIRTUAL_ENV": str(self.bin.parent), "PATH": path, "DVC_NO_ANALYTICS": "1"}
        return Project(root.resolve(), {**inherited, **who, **alone})


@pytest.fixture(scope="session")
def alone(once: Once) -> Alone:
    """Build the wheel, and install it as the guide says into an empty environment."""

    def make(folder: Path) -> Alone:
        _uv("build", "--wheel", "--out-dir", str(folder / "dist"), str(ROOT))
        (wheel,) = (folder / "dist").glob("*.whl")
        _uv("venv", "--python", sys.executable, str(folder / "venv"))
        python = str(folder / "venv" / "bin" / "python")
        command = re.findall(r"^pip install .*$", GUIDE, re.MULTILINE)[0]
        lock = ROOT / "requirements.lock"
        command = command.replace("PATH_OF_THE_CLONE/requirements.lock", str(lock))
        words = shlex.split(command.replace("PATH_OF_THE_CLONE", str(wheel)))
        _uv(*words, "--python", python)
        return Alone(folder / "venv" / "bin")

    return once("alone", make)


def _uv(*words: str) -> None:
    """Run uv with what it has downloaded before, or else with the network."""
    command = [str(UV), *words]
    for options in (["--offline"], []):
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=500)
        if done.returncode == 0:
            return
    raise AssertionError(done.stderr)
