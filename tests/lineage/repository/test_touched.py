"""What was written to since a moment."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lineage.repository.processes import _began
from lineage.repository.touched import clock_ahead, touched_since


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files, a link to one outside, and one that has two names."""
    root = tmp_path / "data"
    (root / "deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "deep/c.txt", "shared.txt"):
        (root / name).write_text(name)
    (tmp_path / "target.txt").write_text("target")
    (root / "link.txt").symlink_to(tmp_path / "target.txt")
    os.link(root / "shared.txt", tmp_path / "other name")
    return root


def rewrite(path: Path) -> None:
    path.write_text("later")


def with_old_times(path: Path) -> None:
    """As ``cp -p`` and ``rsync -t`` leave a file."""
    path.write_text("later")
    os.utime(path, (1, 1))


CHANGES: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "nothing": (lambda _root: None, set()),
    "read": (lambda root: (root / "a.txt").read_text(), set()),
    "written": (lambda root: rewrite(root / "a.txt"), {"a.txt"}),
    "written below": (lambda root: rewrite(root / "deep/c.txt"), {"deep/c.txt"}),
    "with old times": (lambda root: with_old_times(root / "a.txt"), {"a.txt"}),
    "new": (lambda root: rewrite(root / "new.txt"), {"new.txt"}),
    "renamed": (lambda root: (root / "a.txt").rename(root / "z.txt"), {"z.txt"}),
    "removed": (lambda root: (root / "deep/c.txt").unlink(), {"deep"}),
    "a link's target": (lambda root: rewrite(root.parent / "target.txt"), {"link.txt"}),
    "a third name": (lambda root: os.link(root / "shared.txt", root.parent / "third"), set()),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_what_was_touched(
    change: Callable[[Path], object], expected: set[str], folder: Path
) -> None:
    time.sleep(0.15)
    moment = time.time()
    time.sleep(0.15)
    change(folder)
    found = {path.relative_to(folder).as_posix() for path in touched_since(folder, moment)}
    assert found == expected


def test_what_is_not_there_is_not_touched(tmp_path: Path) -> None:
    assert list(touched_since(tmp_path / "none", 0)) == []
    (tmp_path / "dangling").symlink_to("nowhere")
    assert list(touched_since(tmp_path / "dangling", time.time() + 1)) == []


def test_the_clock_of_this_machines_files_is_ours(tmp_path: Path) -> None:
    assert clock_ahead(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_process_began_when_it_was_started() -> None:
    for _ in range(3):
        before = time.time()
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            after = time.time()
            assert before <= _began(psutil.Process(child.pid)) <= after + 0.03
        time.sleep(0.3)
