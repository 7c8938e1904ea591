"""What commands say of versions that they do not read: which it is, and what to do."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands.conftest import Answered, Ask, Versions

LAYOUT_1 = "in layout 1, and this version reads layout 2: read it with commit fc238ed of cocopipe"


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("diff", "old", "v2"), "data/test of old"),
        (("diff", "data/val@old", "data/val"), "data/val@old"),
        (("find", "1.jpg", "--rev", "old"), "data/test of old"),
        (("export", "../out", "--rev", "old"), "data/test of old"),
        (("export", "../out", "--rev", "old", "--format", "yolo"), "data/test of old"),
    ],
)
def test_an_old_version_is_named(ask: Ask, arguments: tuple[str, ...], what: str) -> None:
    said = ask(*arguments)
    assert said == Answered(1, "", f"cocopipe: {what} is {LAYOUT_1}\n")
    assert not Path("../out").exists()


def test_a_picture_that_only_old_versions_can_have(ask: Ask, versions: Versions) -> None:
    old = versions.run("git", "rev-parse", "old")[:8]
    said = ask("find", "nothing.jpg", "--all")
    assert said.code == 1
    assert said.err == (
        "cocopipe: nothing.jpg is no picture of data/test, data/train, data/val in any revision"
        " that could be looked at: name its SHA-256, a file of it, its name or its id;"
        f" data/test of {old}, data/train of {old}, data/val of {old} could not be looked at:"
        f" each is {LAYOUT_1}\n"
    )


def test_what_was_found_says_too_where_nobody_looked(ask: Ask) -> None:
    said = ask("find", "1.jpg", "--all", "--json")
    assert said.code == 0
    assert [place["file_name"] for place in said.json] == ["1.jpg"] * 2
    assert said.err.count("\n") == 1
    assert f"could not be looked at: each is {LAYOUT_1}" in said.err


def test_versions_that_are_nowhere(
    ask: Ask, versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a clone without a remote, whose cache is empty."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", versions.root, clone], check=True)
    monkeypatch.chdir(clone)
    nowhere = "neither in the DVC cache nor in a DVC remote: push it with `dvc push` where it is"
    said = ask("find", "1.jpg", "--all")
    assert said.code == 1
    assert said.err.startswith("cocopipe: 1.jpg was looked for in vain: name its SHA-256,")
    assert said.err.endswith(f" could not be looked at: each is {nowhere}\n")
    said = ask("diff", "v1", "v2")
    assert said == Answered(1, "", f"cocopipe: data/test of v1 is {nowhere}\n")


def test_what_lies_here_can_be_written_anew(
    ask: Ask, versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    shutil.copytree(versions.root, here, symlinks=True)
    subprocess.run(["git", "checkout", "--quiet", "old"], cwd=here, check=True)
    monkeypatch.chdir(here)
    for arguments in (("find", "1.jpg"), ("export", "../out")):
        said = ask(*arguments)
        assert said.code == 1
        assert "is in layout 1, and this version reads layout 2: write it anew" in said.err
        assert said.err.startswith("cocopipe: data/")
