"""What `show` opens, and what it does not."""

import json
import os
import time
from pathlib import Path

import pytest

from lineage.cli import main
from lineage.identity import canonical_json
from tests.lineage.conftest import Project


@pytest.mark.parametrize("path", ["/dev/zero", "fifo", "../outside.txt", "/etc/hostname"])
def test_a_path_that_only_a_tag_names_is_not_opened(
    copied: Project, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(copied.root / "fifo")
    (copied.root.parent / "outside.txt").write_text("outside")
    digest = "0123456789abcdef0123456789abcdef"
    tags = {
        "dvc.signature": "a" * 32,
        "dvc.stage": "odd",
        "dvc.pipeline": "dvc.yaml",
        "dvc.deps": canonical_json({path: digest}),
        "dvc.outs": canonical_json({path: digest}),
    }
    run_id = copied.client.create_run("0", tags=tags).info.run_id
    copied.client.set_terminated(run_id)
    started = time.monotonic()
    for ref in (run_id, digest):
        assert main(["show", ref, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["places"][digest]["workspace"] == []
    assert time.monotonic() - started < 20


def test_what_a_lock_names_is_found_in_its_place(
    copied: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", "data/made.txt", "--json"]) == 0
    (place,) = json.loads(capsys.readouterr().out)["places"].values()
    assert place["workspace"] == ["data/made.txt"]
    assert Path("data/made.txt").is_file()
