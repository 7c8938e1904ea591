"""A share of the fuzz: values of others where they come in, see `tests.lineage.fuzz.__main__`."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_nothing_from_outside_is_trusted(empty_store: Path, tmp_path: Path) -> None:
    """In a process of its own, which keeps to a folder and starts one for each case."""
    words = ["--cases", "20", "--seed", "1", "--store", str(empty_store)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.lineage.fuzz", *words],
        cwd=ROOT,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 findings in 20 cases" in done.stdout
