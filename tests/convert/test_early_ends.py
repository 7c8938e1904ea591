"""Conversions that a full disk or the user ends: one sentence, and nothing left behind."""

import os
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.coco_files import (
    instances,
    official,
    picture,
    write_files,
)
from tests.converting import DOCUMENT, converting, one_sentence

ON_A_SMALL_DISK = """
mount -t tmpfs -o "$1" tmpfs "$2" || exit 99
out="$2"
shift 2
"$@"
code=$?
ls -A "$out"
exit $code
"""
"""Runs a command, in a mount namespace of its own, and lists what it has left on that disk."""


@pytest.mark.parametrize("size", ["size=8k", "size=200k", "nr_inodes=2", "nr_inodes=5"])
def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(tmp_path: Path, size: str) -> None:
    raw = write_files(tmp_path / "raw", official(range(400)))
    out = tmp_path / "out"
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK)
    run = converting(raw, out, inside=(*namespace, "sh", size, str(out)))
    printed, said = run.communicate(timeout=60)
    if run.returncode == 99 or "unshare" in said:
        pytest.skip(f"no small file system can be mounted here: {said}")
    assert run.returncode == 1
    assert "is full: make room" in one_sentence(said.rstrip("\n"))
    _, *left = printed.splitlines()
    assert left == []


def only_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official(range(400)))
    run = converting(raw, tmp_path / "out", preexec_fn=only_small_files)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    one_sentence(said.rstrip("\n"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("moment", ["val.partial", "*.partial/images/*"], ids=["read", "written"])
def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, moment: str) -> None:
    document = instances(range(400))
    document["annotations"] = [
        one | {"id": 400 * lap + one["image_id"]}
        for lap in range(100)
        for one in document["annotations"]
    ]
    raw = write_files(
        tmp_path / "raw", {DOCUMENT: document, "train/0.jpg": picture(0, (1500, 1000))}
    )
    for image_id in range(1, 400):
        os.link(raw / "train/0.jpg", raw / f"train/{image_id}.jpg")
    out = tmp_path / "out"
    run = converting(raw, out, verify="decode")
    while not list(out.glob(moment)) and run.poll() is None:
        time.sleep(0.005)
    time.sleep(0.01)  # not while the folder itself is made
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert list(out.iterdir()) == []
