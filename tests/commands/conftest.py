"""A repository with versions of converted data, as the pipeline records them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cocopipe.cli import main
from tests.coco_files import instances, official, picture, write_files
from tests.conftest import Once
from tests.converting import convert_into
from tests.split.test_layout import numbered

PIPELINE = """
stages:
  convert:
    cmd: "true"
    outs:
""" + "".join(f"      - data/{role}: {{type: dataset}}\n" for role in ("train", "val", "test"))

Files = Mapping[str, Any]


@dataclass
class Versions:
    """The repository, in which commands are asked."""

    root: Path

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.root,
            env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def record(self, files: Files, tag: str, layout: int | None = 2) -> None:
        """Convert these files, and commit what comes of it."""
        for name in ("raw", "data"):
            shutil.rmtree(self.root / name, ignore_errors=True)
        convert_into(write_files(self.root / "raw", files), self.root / "data", workers=1)
        shutil.rmtree(self.root / "raw")
        if layout != 2:
            for path in (self.root / "data").rglob("annotations/*.parquet"):
                numbered(path, layout)
        self.run("dvc", "commit", "--quiet", "--force", "convert")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", tag)
        self.run("git", "tag", tag)


def dataset(train: "list[int] | range", **top: Any) -> dict[str, Any]:
    return official(train) | official([901, 902], "val") | top


def with_test(train: "list[int] | range") -> dict[str, Any]:
    """Pictures for testing, and no annotations, as COCO has them; captions, of one more image."""
    of_test = instances([801, 802, 803])
    del of_test["annotations"]
    captions = {
        "images": instances([*train[1:], 700])["images"],
        "annotations": [{"id": 1, "image_id": train[-1], "caption": "noise"}],
    }
    return dataset(train) | {
        "annotations/image_info_test2017.json": of_test,
        **{f"test2017/{number}.jpg": picture(number) for number in (801, 802, 803)},
        "annotations/captions_train.json": captions,
        "train/700.jpg": picture(700),
    }


@pytest.fixture(scope="session")
def recorded_versions(once: Once) -> Versions:
    """Version `old` in layout 1, `v1`, and `v2` with another image and some for testing.

    Tests must leave it as they found it.
    """

    def make(folder: Path) -> Versions:
        versions = Versions(folder / "project")
        versions.root.mkdir()
        for command in (
            ("git", "init", "--quiet", "--initial-branch", "main"),
            ("git", "config", "user.email", "who@example.org"),
            ("git", "config", "user.name", "Who"),
            ("dvc", "init", "--quiet"),
            ("dvc", "config", "core.analytics", "false"),
        ):
            versions.run(*command)
        (versions.root / "dvc.yaml").write_text(PIPELINE)
        versions.record(dataset([1, 2]), "old", layout=None)
        versions.record(dataset([1, 2, 3]), "v1")
        versions.record(with_test([1, 2, 3, 4]), "v2")
        return versions

    return once("recorded versions", make)


@pytest.fixture
def versions(recorded_versions: Versions, monkeypatch: pytest.MonkeyPatch) -> Versions:
    """The same, where the process is."""
    monkeypatch.chdir(recorded_versions.root)
    return recorded_versions


@dataclass(frozen=True)
class Answered:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Ask = Callable[..., Answered]


@pytest.fixture
def ask(versions: Versions, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask `cocopipe` something in the repository."""
    del versions

    def asked(*arguments: str) -> Answered:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        assert "/tmp/lineage-" not in said.err
        return Answered(code, said.out, said.err)

    return asked
