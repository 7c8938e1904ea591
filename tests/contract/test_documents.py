"""What the documents say is what is there."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("*/README.md")),
    *sorted(ROOT.glob("examples/*/README.md")),
]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_make_command_of_the_readme_exists() -> None:
    named = set(re.findall(r"\bmake ([a-z-]+)", README))
    assert {"demo", "test", "ui"} <= named <= make_targets()


def test_hooks_run_what_make_lint_runs() -> None:
    rule = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in rule[1].splitlines()]
    (local,) = YAML(typ="safe").load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in local["hooks"]] == commands
    assert len(commands) >= 4
    assert all(hook["pass_filenames"] is False for hook in local["hooks"])


@pytest.mark.parametrize("document", ["CONTRIBUTING.md"])
def test_every_make_command_of_a_document_exists(document: str) -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (ROOT / document).read_text()))
    assert named
    assert named <= make_targets()


def test_the_changelog_tells_of_the_version_that_is_built() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    titles = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[:2] == ["Unreleased", version]


def test_modules_that_the_changelog_names_are_there() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    named = set(re.findall(r"`((?:cocopipe|lineage)(?:\.[a-z]+)+)`", text))
    # Names of entry points, and what a module is called no more or holds.
    others = {"lineage.facts", "lineage.models", "lineage.trace.trace", "lineage.verbs.trace.trace"}
    assert others <= named
    assert find_spec("lineage.verbs.trace")
    for module in named - others:
        assert find_spec(module), module


def test_the_licence_is_the_one_that_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "LICENSE").read_text()
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert re.match(r"\s+Apache License\s+Version 2\.0, January 2004\s", text)
    assert "END OF TERMS AND CONDITIONS" in text


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_param_that_is_named_exists(document: Path) -> None:
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


def test_a_python_that_is_not_there_is_not_called_old(tmp_path: Path) -> None:
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = ["make", "setup", "PYTHON=python3.99"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert "there is no python3.99 here" in done.stdout
    assert "older" not in done.stdout + done.stderr
