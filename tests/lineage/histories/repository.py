"""A repository with a pipeline, worked on by git's command and by DVC in this process."""

import os
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.lineage.histories.process import Clock, folder, md5

STAGES: dict[str, dict[str, Any]] = {
    "prepare": {
        "cmd": "prepare 0",
        "deps": ["raw.txt", "prepare.code"],
        "params": ["prepare"],
        "outs": [{"data": {"type": "dataset"}}],
    },
    "train": {
        "cmd": "train 0",
        "deps": ["data", "train.code"],
        "params": ["train"],
        "outs": [{"model.safetensors": {"type": "model"}}],
    },
    "register": {
        "cmd": "register 0",
        "deps": ["data", "model.safetensors", "decision.code"],
        "outs": [{"decision.json": {"type": "report", "labels": ["registration"]}}],
    },
}
FILES = {
    "raw.txt": "0",
    "prepare.code": "0",
    "train.code": "0",
    "decision.code": "accepted 0",
    "params.yaml": "prepare: {shift: 0, luck: false}\ntrain: {rate: 0, luck: false}\n",
}
OUTPUTS = ("data", "model.safetensors", "decision.json")
PLACES = ("", "pipe", "moved")
"""Where the pipeline may be."""


def new_yaml() -> YAML:
    """What reads and writes YAML here; each use needs its own."""
    return YAML(typ="safe", pure=True)


@dataclass
class Repository:
    """A repository, and what is done to it.

    Attributes:
        name: Of those in a world.
        root: Where it is.
        clock: What time it is.
    """

    name: str
    root: Path
    clock: Clock

    def git(self, *words: str, ok: bool = True, **variables: str) -> str:
        """Run git; returns what it said."""
        done = subprocess.run(
            ["git", *words],
            cwd=self.root,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
        )
        assert not ok or done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def begin(self, place: str) -> "Repository":
        """Make it, with a first commit of its own."""
        from dvc.repo import Repo

        self.root.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("config", "user.email", "who@example.org")
        self.git("config", "user.name", "Who")
        with folder(self.root), self._quiet():
            Repo.init(".").close()
        # A stage that fails leaves what it wrote, which DVC ignores only when it succeeds.
        self.write(".gitignore", "\n".join(("/mlartifacts/", *OUTPUTS, "")))
        for name, text in FILES.items():
            self.write(f"{place}/{name}", text)
        self.write_pipeline(f"{place}/dvc.yaml", STAGES)
        with folder(self.root), self._quiet(), Repo(".") as repo:
            repo.add(str(Path(place, "raw.txt")))
        self.commit(f"the first of {self.name}")
        return self

    def copy(self, name: str, root: Path) -> "Repository":
        """The same files, in a repository whose history is another one."""
        import shutil

        shutil.copytree(self.root, root, symlinks=True)
        copied = replace(self, name=name, root=root)
        second = copied.clock.for_commit()
        date = f"{second} +0000"
        copied.git(
            "commit",
            "--quiet",
            "--amend",
            "--message",
            f"the first of {name}",
            "--date",
            date,
            GIT_COMMITTER_DATE=date,
            GIT_AUTHOR_DATE=date,
        )
        return copied

    # The pipeline.

    @property
    def place(self) -> str:
        """The folder of the pipeline file, from the root."""
        return next(each for each in PLACES if (self.root / each / "dvc.yaml").is_file())

    def path(self, name: str) -> Path:
        """Where something of the pipeline is."""
        return self.root / self.place / name

    def write(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    @property
    def stages(self) -> dict[str, dict[str, Any]]:
        """What the pipeline file says."""
        return dict(new_yaml().load(self.path("dvc.yaml").read_text())["stages"])

    def write_pipeline(self, path: str, stages: Mapping[str, Any]) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("w") as file:
            new_yaml().dump({"stages": dict(stages)}, file)

    def stage_of(self, kind: str) -> str:
        """The name of the stage that does this, which may have been renamed."""
        return next(name for name, stage in self.stages.items() if stage["cmd"].startswith(kind))

    @property
    def params(self) -> dict[str, Any]:
        return dict(new_yaml().load(self.path("params.yaml").read_text()))

    def set_param(self, section: str, key: str, value: Any) -> None:
        values = self.params
        values[section] = {**values[section], key: value}
        with self.path("params.yaml").open("w") as file:
            new_yaml().dump(values, file)

    # Work.

    def address(self, stage: str) -> str:
        """What DVC calls a stage, called at the root."""
        return f"{self.place}/dvc.yaml:{stage}" if self.place else stage

    def repro(self, kind: str = "", *, force: bool = False) -> bool:
        """Let DVC reproduce one stage and what it needs, or all; whether that went well."""
        from dvc.exceptions import ReproductionError
        from dvc.repo import Repo

        how: dict[str, Any] = {"force": force, "single_item": force and bool(kind)}
        target = self.address(self.stage_of(kind)) if kind else None
        everything = {"all_pipelines": True} if not kind else {}
        with folder(self.root), self._quiet(), Repo(".") as repo:
            try:
                repo.reproduce(target, **how, **everything)
            except ReproductionError:
                return False
        return True

    def dvc_commit(self) -> None:
        """Take what lies there into the lock."""
        from dvc.repo import Repo

        with folder(self.root), self._quiet(), Repo(".") as repo:
            repo.commit(force=True, allow_missing=True)

    def dvc_checkout(self) -> None:
        """Bring what the lock has."""
        from dvc.repo import Repo

        with folder(self.root), self._quiet(), Repo(".") as repo:
            repo.checkout(force=True, allow_missing=True)

    def commit(self, message: str) -> str:
        """Commit all to git; returns the commit."""
        self.git("add", "--all")
        date = f"{self.clock.for_commit()} +0000"
        dated = {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
        self.git("commit", "--quiet", "--allow-empty", "--message", message, **dated)
        return self.git("rev-parse", "HEAD")

    def restore(self, rev: str = "HEAD") -> None:
        """The working tree as it was at a revision; HEAD stays."""
        self.git("read-tree", "--reset", "-u", rev)
        self.git("clean", "--quiet", "--force", "-d")
        self.dvc_checkout()

    @property
    def tips(self) -> list[str]:
        """Whatever git has a name for."""
        return self.git("for-each-ref", "--format=%(refname)").split()

    @property
    def commits(self) -> list[str]:
        """All, oldest first."""
        return self.git("rev-list", "--all", "HEAD", "--date-order", "--reverse").split()

    def hash_of(self, path: str) -> str:
        """The DVC hash of something of the pipeline, as it lies there."""
        return md5(self.root / path)

    @staticmethod
    def _quiet() -> "redirect_stdout[Any]":
        return redirect_stdout(StringIO())
