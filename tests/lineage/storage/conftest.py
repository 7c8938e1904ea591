"""A project with data in a cache and a remote, to break."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lineage.repository.workspace import Workspace
from lineage.storage.locate import Whereabouts
from tests.conftest import S3Remote
from tests.lineage.conftest import BIN, Project


@pytest.fixture
def there(pushed: Project, tmp_path: Path) -> Workspace:
    """A copy of that project with cache and a remote of its own, to break."""
    root = tmp_path / "project"
    shutil.copytree(pushed.root, root, symlinks=True)
    shutil.copytree(f"{pushed.root}.remote", tmp_path / "remote")
    point(root, tmp_path / "remote")
    return Workspace.find(root)


@pytest.fixture
def clone(there: Workspace, tmp_path: Path) -> Workspace:
    """A clone of that copy, without any cache."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", there.root, root], check=True)
    point(root, tmp_path / "remote")
    return Workspace.find(root)


# remotes over the network


@pytest.fixture
def s3(
    pushed: Project, s3_remote: S3Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A copy of the project without a cache, whose remote is an empty place on S3."""
    for name, value in s3_remote.environment.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "project"
    shutil.copytree(pushed.root, root, symlinks=True)
    point(root, s3_remote.new().url)
    return Workspace.find(root)


def point(root: Path, url: Path | str) -> None:
    """Put another address of the remote into this clone, as `dvc remote modify --local` does."""
    (root / ".dvc" / "config.local").write_text(f"['remote \"store\"']\n    url = {url}\n")


def dvc(root: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=root,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def recorded(workspace: Workspace, path: str, rev: str = "HEAD") -> str:
    """The hash in the .dvc file of a revision, read without this project's code."""
    shown = subprocess.run(
        ["git", "show", f"{rev}:{path}.dvc"],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split("md5: ")[1].split()[0]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def in_store(root: Path, digest: str) -> Path:
    """Where DVC 3 keeps an object."""
    return root / "files" / "md5" / digest[:2] / digest[2:]


def in_cache(workspace: Workspace, digest: str) -> Path:
    return in_store(workspace.root / ".dvc" / "cache", digest)


def overwrite(path: Path, text: str) -> None:
    """Damage an object, which is write-protected as DVC protects it."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def crafted(workspace: Workspace, *names: str, text: str = "evil") -> str:
    """Put a listing that DVC never wrote into the cache; its hash, which is right."""
    listing = json.dumps([{"md5": md5(text), "relpath": name} for name in names])
    for digest, written in ((md5(text), text), (f"{md5(listing)}.dir", listing)):
        place = in_cache(workspace, digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(written)
    return f"{md5(listing)}.dir"


def content(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


EMPTY_FOLDER = "d751713988987e9331980363e24189ce.dir"
NOWHERE = "0" * 32
EVERYWHERE = Whereabouts(cache=True, remote=True, missing=())
