"""What the documents say is what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("*/README.md"))]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test", "ui"} <= named <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_param_that_is_named_exists(document: Path) -> None:
    from ruamel.yaml import YAML

    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    for name in re.findall(r"-S ([a-z_.]+)=", document.read_text()):
        section = params
        for key in name.split("."):
            assert key in section, name
            section = section[key]


@pytest.mark.parametrize("command", ["cocopipe", "lineage"])
def test_every_verb_has_help_and_is_documented(command: str) -> None:
    said = subprocess.run([BIN / command, "--help"], capture_output=True, text=True, check=True)
    verbs = re.findall(r"^    ([a-z]+) +\S", said.stdout, re.MULTILINE)
    assert verbs
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for verb in verbs:
        assert f"{command} {verb}" in text
