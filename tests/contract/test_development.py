"""docs/development.md names files that are there, and its recipes those that a change touches."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/development.md").read_text(encoding="utf-8")

# What stands in each file that the earlier change of a recipe touched, but for its own files.
WITNESSES = {
    "A download source": r"HuggingFaceSource|^  huggingface:|sources\.hub\b",
    "An annotation field": r"\bnum_keypoints\b",
    "A verb of lineage": r"\bverbs\.impact\b|\"impact\"|^def tree\(answer|lineage impact",
    "A finding of `lineage verify`": r"\bDATA_LOST\b|data lost",
    "A command of cocopipe": r"\"promote\"|commands\.promote\b|cocopipe promote",
    "A training option": r"\bgradient_clip\b",
    "A check of the data": r"\bdegenerate\b|\bDEGENERATE\b",
    "An export format": r"\bexport_yolo\b|\"yolo\"|--format yolo",
    "A tag in MLflow": r"tags\.CHANGED\b|^CHANGED = |`dvc\.changed`",
}
ALSO_THERE = {
    "A download source": {
        "src/cocopipe/sources/hub_rows.py": "the Hub's rows fill a module of their own"
    },
    "An annotation field": {
        "src/cocopipe/sources/yolo_labels.py": "writes it for the labels of another format",
        "src/cocopipe/detect/network/architectures.py": "torchvision has an argument of that name",
        "src/cocopipe/detect/prediction/truth.py": "counts it for pycocotools",
    },
    "A command of cocopipe": {
        "src/cocopipe/params.py": "names the command in a sentence",
        "src/lineage/__init__.py": "has a function of the same name",
    },
    "A training option": {
        "src/cocopipe/detect/training/losses.py": "names it in a sentence",
    },
    "A check of the data": {
        "src/cocopipe/convert/result.py": "tells how many there are",
        "src/cocopipe/detect/training/detections.py": "leaves those boxes out",
        "src/cocopipe/export/yolo.py": "leaves those boxes out",
        "src/cocopipe/sources/hub_rows.py": "refuses them at the source",
    },
    "An export format": {
        "src/cocopipe/params.py": "knows the format as a source",
        "src/cocopipe/stages/download.py": "knows the format as a source",
    },
}
"""Recipe -> file that the witness stands in, and why others of its kind would not touch it."""


def recipes() -> dict[str, str]:
    """Title of each recipe, without its example -> text."""
    section = PAGE.partition("\n## Recipes\n")[2].partition("\n## ")[0]
    parts = re.split(r"^### (.*?) \(as .*\)$", section, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def steps(recipe: str) -> list[str]:
    return re.findall(r"^\d+\. (.*?)$", recipe, re.MULTILINE)


def files(text: str) -> list[str]:
    """What a text names in backticks that looks like a path of this repository."""
    named = re.findall(r"`([\w./-]+)`", text)
    tops = ("src/", "tests/", "docs/", "benchmarks/", "bin/")
    at_the_top = r"\w+\.(md|yaml|toml)"
    return [each for each in named if each.startswith(tops) or re.fullmatch(at_the_top, each)]


def holding(pattern: str) -> set[str]:
    """The files under git with a line that matches."""
    command = ["git", "grep", "--untracked", "-lE", "-e", pattern, "--", ":!docs/development.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def is_code(path: str) -> bool:
    return path.startswith("src/") or path == "params.yaml"


@pytest.mark.parametrize("name", sorted({name for name in files(PAGE) if "." in name}))
def test_every_file_that_is_named_exists(name: str) -> None:
    assert (ROOT / name).exists()


def test_every_recipe_has_its_witness() -> None:
    assert recipes().keys() == WITNESSES.keys()


@pytest.mark.parametrize("title", WITNESSES)
def test_a_recipe_names_what_such_a_change_touches(title: str) -> None:
    first = [(files(step)[0], "(new)" in step) for step in steps(recipes()[title])]
    new = {path for path, is_new in first if is_new}
    listed = {path for path, _ in first}
    touched = holding(WITNESSES[title])
    assert listed - new <= touched
    code = {path for path in touched if is_code(path)} - ALSO_THERE.get(title, {}).keys()
    assert code - new == {path for path in listed if is_code(path)} - new


def test_the_layers_are_those_of_the_contracts() -> None:
    import tomllib

    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = {each["name"]: each for each in read["tool"]["importlinter"]["contracts"]}
    figure = PAGE.partition("```\nlineage  ")[2].partition("```")[0]
    rows = [re.split(r"\s{3,}", row.strip()) for row in figure.splitlines()[1:] if row.strip()]
    for package, name in (
        ("lineage", "Rooms of lineage are stacked"),
        ("cocopipe", "Rooms of cocopipe are stacked, and neighbours do not know each other"),
    ):
        layers = [
            {part.strip().removeprefix(f"{package}.") for part in layer.split("|")}
            for layer in contracts[name]["layers"]
        ]
        drawn = [set(cell.split(" · ")) for row in rows for cell in row]
        for layer in layers:
            assert any(layer <= each for each in drawn), layer


@pytest.mark.parametrize("package", ["lineage", "cocopipe"])
def test_the_readme_has_a_line_for_each_room(package: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    part = readme.partition(f"\nsrc/{package}/ ")[2].partition("\n\n")[0]
    told = re.findall(r"^  (\w+)/ +\w", part, re.MULTILINE)
    rooms = {path.parent.name for path in (ROOT / "src" / package).glob("*/__init__.py")}
    assert set(told) == rooms
    assert len(told) == len(rooms)
