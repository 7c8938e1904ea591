"""Data of one moment, with or without its code, in a folder of their own."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.repository.workspace import Workspace
from lineage.storage.worktree import write_out
from tests.lineage.conftest import Project
from tests.lineage.storage.conftest import content

PIPELINE = """
stages:
  make:
    cmd: cp -r data/raw data/made
    deps: [data/raw]
    outs: [data/made]
"""


@pytest.fixture(scope="module")
def versions(new_project: Callable[[], Project]) -> Project:
    """Data in a folder with a .gitignore that git tracks, at two commits."""
    project = new_project()
    project.run("dvc", "remote", "add", "--default", "--quiet", "store", f"{project.root}.remote")
    project.write("dvc.yaml", PIPELINE)
    for version in ["old", "new"]:
        shutil.rmtree(project.root / "data" / "raw", ignore_errors=True)
        project.write("data/raw/a.txt", version)
        project.write("data/raw/deep/b.txt", "same")
        project.run("dvc", "add", "--quiet", "data/raw")
        project.write("code.py", f"print({version!r})\n")
        project.run("dvc", "repro", "--quiet")
        project.release(version)
    project.write("link.txt", "kept")
    (project.root / "linked").symlink_to("/tmp")
    project.commit("a link out of the repository")
    project.run("dvc", "push", "--quiet", "--all-commits")
    return project


@pytest.fixture
def here(versions: Project) -> Iterator[Workspace]:
    yield Workspace.find(versions.root)
    for path in worktrees(versions)[1:]:
        versions.run("git", "worktree", "remove", "--force", path)


def recorded(project: Project, rev: str) -> str:
    """The hash of data/made, which is that of data/raw; read without this project's code."""
    return str(project.lock(rev=rev)["make"]["outs"][0]["md5"])


def worktrees(project: Project) -> list[str]:
    listing = project.run("git", "worktree", "list", "--porcelain").stdout
    return [line[9:] for line in listing.splitlines() if line.startswith("worktree ")]


def test_one_item_is_the_destination_itself(
    versions: Project, here: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert write_out(here, [DataId("data/made", recorded(versions, "old"))], out) == [out]
    assert content(out) == {"a.txt": "old", "deep/b.txt": "same"}


def test_one_item_of_several_lies_at_its_path(
    versions: Project, here: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    items = [DataId("data/made", recorded(versions, "old"))]
    assert write_out(here, items, out, as_folder=True) == [out / "data" / "made"]
    assert content(out) == {"data/made/a.txt": "old", "data/made/deep/b.txt": "same"}


def test_several_lie_at_their_paths(versions: Project, here: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    items = [
        DataId("data/made", recorded(versions, "old")),
        DataId("raw", recorded(versions, "new")),
    ]
    assert write_out(here, items, out) == [out / "data" / "made", out / "raw"]
    assert content(out) == {
        "data/made/a.txt": "old",
        "data/made/deep/b.txt": "same",
        "raw/a.txt": "new",
        "raw/deep/b.txt": "same",
    }


def test_the_code_is_a_detached_worktree(
    versions: Project, here: Workspace, tmp_path: Path
) -> None:
    digest = recorded(versions, "old")
    branch = versions.run("git", "symbolic-ref", "HEAD").stdout
    before = versions.run("git", "status", "--porcelain").stdout
    out = tmp_path / "some" / "out"
    items = [DataId("data/made", digest), DataId("data/raw", digest)]
    assert write_out(here, items, out, commit="old") == [out / "data/made", out / "data/raw"]
    assert content(out / "data" / "made") == {"a.txt": "old", "deep/b.txt": "same"}
    assert (out / "code.py").read_text() == "print('old')\n"
    assert (out / "data" / ".gitignore").read_text() == "/raw\n/made\n"

    inside = Project(out, versions.environment)
    assert inside.run("git", "rev-parse", "HEAD").stdout == (
        versions.run("git", "rev-parse", "old").stdout
    )
    assert inside.run("git", "symbolic-ref", "HEAD", ok=False).returncode != 0
    assert inside.run("git", "status", "--porcelain").stdout == ""
    assert inside.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    # It is known where it is, and the repository is otherwise as it was.
    assert worktrees(versions) == [str(versions.root), str(out)]
    assert versions.run("git", "status", "--porcelain").stdout == before
    assert versions.run("git", "symbolic-ref", "HEAD").stdout == branch


def test_settings_of_dvc_are_not_written_through_a_link(versions: Project, tmp_path: Path) -> None:
    project = versions.copy(tmp_path / "project")
    (tmp_path / "theirs").write_text("[core]\n")
    (tmp_path / "target").write_text(str(tmp_path / "theirs"))
    blob = project.run("git", "hash-object", "-w", str(tmp_path / "target")).stdout.strip()
    link = f"120000,{blob},.dvc/config.local"
    project.run("git", "update-index", "--add", "--cacheinfo", link)
    project.run("git", "commit", "--quiet", "--message", "a link")
    with pytest.raises(LineageError, match=r"config\.local is a link, which may lead out"):
        write_out(Workspace.find(project.root), [], tmp_path / "out", commit="HEAD")
    assert (tmp_path / "theirs").read_text() == "[core]\n"
    assert not (tmp_path / "out").exists()


def test_no_hook_runs(versions: Project, here: Workspace, tmp_path: Path) -> None:
    hook = versions.root / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    try:
        write_out(here, [], tmp_path / "out", commit="new")
    finally:
        hook.unlink()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("commit", [None, "old"])
def test_a_failure_leaves_nothing(
    versions: Project, here: Workspace, tmp_path: Path, commit: str | None
) -> None:
    items = [DataId("data/made", recorded(versions, "old")), DataId("other", "0" * 32)]
    with pytest.raises(LineageError, match=f"{'0' * 32} are neither in"):
        write_out(here, items, tmp_path / "some" / "out", commit=commit)
    assert not list(tmp_path.iterdir())
    assert worktrees(versions) == [str(versions.root)]
    assert not (versions.root / ".git" / "worktrees").exists()


def test_ctrl_c_leaves_nothing(
    versions: Project, here: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lineage.storage.materialise._copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_out(
            here, [DataId("data/made", recorded(versions, "old"))], tmp_path / "out", commit="old"
        )
    assert not list(tmp_path.iterdir())
    assert worktrees(versions) == [str(versions.root)]


@pytest.mark.parametrize("commit", [None, "old"])
def test_what_is_there_stays(
    versions: Project, here: Workspace, tmp_path: Path, commit: str | None
) -> None:
    with pytest.raises(LineageError, match="exists already"):
        write_out(here, [DataId("data/made", recorded(versions, "old"))], tmp_path, commit=commit)
    assert worktrees(versions) == [str(versions.root)]


@pytest.mark.parametrize(
    ("path", "tracked"),
    [
        ("code.py", "code.py"),
        ("data", "data"),
        ("data/.gitignore/x", "data/.gitignore"),
        ("linked/x", "linked"),
    ],
)
def test_data_never_take_the_place_of_code(
    versions: Project, here: Workspace, tmp_path: Path, path: str, tracked: str
) -> None:
    digest = recorded(versions, "new")
    with pytest.raises(LineageError, match=f"^{path} cannot be put .* where git tracks {tracked}"):
        write_out(here, [DataId(path, digest)], tmp_path / "out", commit="HEAD")
    assert not (tmp_path / "out").exists()
    assert worktrees(versions) == [str(versions.root)]


@pytest.mark.parametrize(
    "path",
    ["/data", "../data", "a/../../data", "s3://bucket/data", ".", ".git/x", ".dvc/config.local"],
)
@pytest.mark.parametrize("commit", [None, "old"])
def test_a_path_that_leads_out_is_refused(
    versions: Project, here: Workspace, tmp_path: Path, path: str, commit: str | None
) -> None:
    items = [
        DataId("data/made", recorded(versions, "old")),
        DataId(path, recorded(versions, "old")),
    ]
    with pytest.raises(LineageError, match="lies outside of the repository"):
        write_out(here, items, tmp_path / "out", commit=commit)
    # Alone, it needs no path.
    write_out(here, items[1:], tmp_path / "alone")
    assert content(tmp_path / "alone") == {"a.txt": "old", "deep/b.txt": "same"}


def test_items_in_each_others_way_are_refused(
    versions: Project, here: Workspace, tmp_path: Path
) -> None:
    old, new = recorded(versions, "old"), recorded(versions, "new")
    with pytest.raises(LineageError, match=f"with the hashes {old} and {new}"):
        write_out(here, [DataId("data", old), DataId("data/", new)], tmp_path / "out")
    with pytest.raises(LineageError, match="data/made lies inside data"):
        write_out(here, [DataId("data", old), DataId("data/made", new)], tmp_path / "out")
    with pytest.raises(LineageError, match="names 'data' and 'Data', which may be one"):
        write_out(here, [DataId("data", old), DataId("Data", new)], tmp_path / "out")
    twice = write_out(here, [DataId("data", old), DataId("data", old)], tmp_path / "out")
    assert twice == [tmp_path / "out" / "data"] * 2


def test_a_commit_that_the_clone_lacks_is_told(
    versions: Project, here: Workspace, tmp_path: Path
) -> None:
    with pytest.raises(LineageError, match=r"^the commit abcdef0 is not .* with `git fetch`"):
        write_out(here, [], tmp_path / "out", commit="abcdef0")
    shallow = tmp_path / "shallow"
    url = f"file://{versions.root}"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", url, shallow], check=True)
    old = versions.run("git", "rev-parse", "old").stdout.strip()
    with pytest.raises(LineageError, match="`git fetch --unshallow`"):
        write_out(Workspace.find(shallow), [], tmp_path / "out", commit=old)
    assert not (tmp_path / "out").exists()
