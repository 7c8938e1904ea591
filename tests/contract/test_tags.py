"""Every name in MLflow stands once, in a module of tags, and in docs/lineage.md."""

import ast
import re
from pathlib import Path

import pytest

from cocopipe.tracking import tags as tags_of_stages
from lineage.tracking import tags

ROOT = Path(__file__).resolve().parents[2]
TAGS = {ROOT / f"src/{package}/tracking/tags.py" for package in ("cocopipe", "lineage")}
GUIDE = (ROOT / "docs/lineage.md").read_text(encoding="utf-8")

NAMES = [
    value
    for module in (tags, tags_of_stages)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
]
OF_MLFLOW = {tags.EXPERIMENT_KIND}
"""Names that MLflow gave."""

WORDS = {tags.INPUT, tags.OUTPUT, tags.CANDIDATE, tags.CHAMPION, tags.ERROR, tags_of_stages.MODEL}
"""Names that are words too, so that finding them in code tells nothing."""

WORDS_OF_ANSWERS = {tags.VERDICT}
"""Names that fields of the bridge's answers have too; cocopipe spells none of them."""

FILES = {"dvc.yaml", "dvc.lock"}


def strings(path: Path) -> set[str]:
    """Every text that a module spells, but for docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
    }


def test_no_two_names_are_the_same() -> None:
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(
    "path",
    sorted({*(ROOT / "src").rglob("*.py")} - TAGS),
    ids=lambda path: str(path.relative_to(ROOT / "src")),
)
def test_no_other_module_spells_one(path: Path) -> None:
    is_bridge = (ROOT / "src/lineage") in path.parents
    names = {*NAMES} - WORDS - (WORDS_OF_ANSWERS if is_bridge else set())
    spelled = {
        text: name
        for text in strings(path)
        for name in names
        if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", text)
    }
    assert spelled == {}


@pytest.mark.parametrize("name", sorted({*NAMES} - OF_MLFLOW))
def test_the_guide_tells_of_each(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}(<\w+>)?[`=]", GUIDE), name


def test_the_guide_tells_of_no_other() -> None:
    told = set(re.findall(r"`((?:dvc|git|lineage)\.[a-z._]+)`", GUIDE)) - FILES
    modules = {f"lineage.{path.stem}" for path in (ROOT / "src/lineage").iterdir()}
    groups = {
        "lineage.facts",
        "lineage.models",
        "lineage.promote",
        "lineage.register",
        "lineage.stage",
    }
    assert told - modules - groups <= set(NAMES)
