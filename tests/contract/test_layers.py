"""Every import contract of pyproject.toml fails on an import that breaks it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

BREACHES = {
    "Rooms of cocopipe are stacked, and neighbours do not know each other": [
        ("cocopipe/split/boxes.py", "import cocopipe.coco.names"),
        ("cocopipe/coco/names.py", "import cocopipe.convert"),
        ("cocopipe/diff/answer.py", "import cocopipe.params"),
    ],
    "Training, evaluation and serving do not know each other": [
        ("cocopipe/detect/serving/__init__.py", "import cocopipe.detect.evaluation"),
        ("cocopipe/detect/evaluation/__init__.py", "import cocopipe.detect.training"),
        ("cocopipe/detect/prediction/__init__.py", "import cocopipe.detect.evaluation"),
    ],
    "Rooms of lineage are stacked": [
        ("lineage/tracking/tags.py", "import lineage.recording.run_record"),
        ("lineage/repository/git.py", "import lineage.storage.stores"),
        ("lineage/verbs/diff_answer.py", "import lineage.cli"),
    ],
    "Rooms know nothing of params, tracking or versioning": [
        ("cocopipe/quality/statistics.py", "import lineage.identity"),
        ("cocopipe/sources/names.py", "import mlflow"),
    ],
    "The bridge knows nothing of what is in the bytes": [
        ("lineage/words.py", "import pyarrow"),
        ("lineage/plugins.py", "import cocopipe.errors"),
    ],
    "Only detect, and what hands detectors on, imports torch": [
        ("cocopipe/split/boxes.py", "import torch"),
        ("cocopipe/files.py", "import torchvision"),
    ],
}
"""Contract -> modules, each with a line that must not stand there."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source and its contracts, which hold there."""
    root = tmp_path_factory.mktemp("house")
    leave_out = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src", root / "src", ignore=leave_out)
    shutil.copy(ROOT / "pyproject.toml", root)
    assert broken(root) == []
    return root


def broken(root: Path) -> list[str]:
    """The names of the contracts that do not hold for a source tree."""
    program = "from importlinter.cli import lint_imports_command as command; command()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--no-cache"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src"), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    return [line.removesuffix(" BROKEN") for line in lines if line.endswith(" BROKEN")]


def contracts() -> dict[str, dict[str, Any]]:
    """The contracts by their names."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["name"]: contract for contract in read["tool"]["importlinter"]["contracts"]}


def test_every_contract_has_breaches() -> None:
    assert sorted(BREACHES) == sorted(contracts())


def test_only_rooms_that_need_torch_may_import_it() -> None:
    contract = contracts()["Only detect, and what hands detectors on, imports torch"]
    rooms = {
        f"cocopipe.{path.stem}"
        for path in (ROOT / "src/cocopipe").iterdir()
        if path.stem.isidentifier() and not path.stem.startswith("__") and path.name != "py.typed"
    }
    needing = {"cocopipe.detect", "cocopipe.stages", "cocopipe.stream", "cocopipe.tracking"}
    assert rooms - {*contract["source_modules"]} == needing
    assert {*contract["source_modules"]} < rooms


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [(name, *breach) for name, breaches in BREACHES.items() for breach in breaches],
)
def test_a_breach_breaks_its_contract(house: Path, contract: str, module: str, line: str) -> None:
    path = house / "src" / module
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        assert contract in broken(house)
    finally:
        path.write_text(before, encoding="utf-8")
