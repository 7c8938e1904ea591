"""Every command, setting and name of a model in the documents is taken by what it is meant for."""

import ast
import itertools
import re
import shlex
import shutil
import subprocess
from argparse import ArgumentParser
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser
from dvc.utils.hydra import apply_overrides

import cocopipe.cli
import lineage.cli
from cocopipe import params
from cocopipe.detect.network.architectures import architectures, check, published_weights
from tests.contract.test_documents import DOCUMENTS, ROOT, make_targets

MANUALS = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
"""The changelog also tells of what is there no more."""

PARSERS = {
    "cocopipe": cocopipe.cli.parser(),
    "lineage": lineage.cli.parser(),
    "dvc": get_main_parser(),
}
FENCE = re.compile(r"^ *(`{3,4})(\w*)\n(.*?)^ *\1$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
PARAM = re.compile(r"([a-z_]+(?:\.\w+)+)(?<!\.py)(?: ?[:=] ?(.+))?")
OF_A_DETECTOR = re.compile(r"\b(?:\w*(?:rcnn?|retinanet)_\w+|ssd\w*|fcos_\w+)\b")
MOST_ARGUMENTS = 3

KEPT = ("data/train", "data/labels")
"""What a command writes that DVC keeps."""


def blocks(text: str, *languages: str) -> list[str]:
    return [body for _, language, body in FENCE.findall(text) if language in languages]


def spans(text: str) -> list[str]:
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]


def lines(text: str) -> Iterator[str]:
    """The command lines in blocks, without comments and what is printed."""
    for body in blocks(text, "", "sh"):
        yield from body.replace("\\\n", " ").splitlines()
    for body in blocks(text, "console"):
        yield from (line.removeprefix("$ ") for line in body.splitlines() if line[:2] == "$ ")


def simple_commands(line: str) -> Iterator[list[str]]:
    """The commands of a line of shell, each as its words."""
    if re.match(r"\w+ {2,}", line):  # a picture
        return
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&|;>")
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:  # prose
        return
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("&|;>"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
            command.append(word)


def refused(command: list[str], *, is_whole: bool) -> str:
    """Why the program would not take the command; a mention may leave arguments out."""
    program, *arguments = command
    if program == "make":
        return refused_by_make(arguments)
    said = ""
    for more in range(0 if is_whole else MOST_ARGUMENTS, -1, -1):
        said = refused_by(PARSERS[program], [*arguments, *["X"] * more])
        if not said:
            break
    return said


def refused_by(parser: ArgumentParser, arguments: list[str]) -> str:
    try:
        parser.parse_args(arguments)
    except SystemExit as end:
        return "" if not end.code else f"{arguments} ends with {end.code}"
    except DvcParserError:  # it has printed why
        return f"dvc does not take {arguments}"
    return ""


def refused_by_make(arguments: list[str]) -> str:
    used = (ROOT / "Makefile").read_text() + (ROOT / "bin" / "ci-pipeline").read_text()
    for argument in arguments:
        name, is_setting, _ = argument.partition("=")
        if is_setting and not re.search(rf"\$[({{]{name}\b|\b{name} \?=", used):
            return f"make knows no {name}"
        if not is_setting and argument not in make_targets():
            return f"make has no target {argument}"
    return ""


def commands(text: str) -> Iterator[tuple[list[str], bool]]:
    """The commands of a document, and whether each is meant to be typed as it is."""
    for line in lines(text):
        yield from ((command, True) for command in simple_commands(line))
    for span in spans(text):
        yield from ((command, False) for command in simple_commands(span))


def of_ours(text: str) -> list[tuple[list[str], bool]]:
    programs = {*PARSERS, "make"}
    return [
        (command, is_whole)
        for command, is_whole in commands(text)
        # The name of a program alone is just that; `lineage.json` and the like are files.
        if command[0] in programs and len(command) > 1
    ]


def overrides(text: str) -> list[list[str]]:
    """What each command that has any, or each mention, sets with -S."""
    found = []
    for command, _ in commands(text):
        given = [value for flag, value in itertools.pairwise(command) if flag == "-S"]
        found += [given] if given else []
    return found


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_taken_by_its_program(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command, is_whole in of_ours(document.read_text()):
        said = refused(command, is_whole=is_whole)
        assert not said, (command, said, capsys.readouterr().err)


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_is_a_param_and_allowed(document: Path, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    for given in overrides(document.read_text()):
        shutil.copy(ROOT / "params.yaml", path)
        apply_overrides(path, given)
        train = params.read(path).train
        check(train.model, train.image_size)
        assert train.weights in {"none", *published_weights(train.model)}


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_param_that_is_mentioned_is_there_and_takes_the_value(
    document: Path, tmp_path: Path
) -> None:
    path = tmp_path / "params.yaml"
    stated = ROOT / "params.yaml"
    sections = set(params.Params.__annotations__)
    for span in spans(document.read_text()):
        found = PARAM.fullmatch(span)
        if found and found[1].partition(".")[0] in sections and "/" not in span:
            shutil.copy(stated, path)
            apply_overrides(path, [f"{found[1]}={found[2] or 'x'}"])  # refuses what is not there
            if found[2]:
                params.read(path)


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_detector_that_is_named_can_be_built(document: Path) -> None:
    assert {*OF_A_DETECTOR.findall(document.read_text())} <= {*architectures()}


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_python_names_what_there_is(document: Path) -> None:
    for body in blocks(document.read_text(), "python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and node.module:
                module = import_module(node.module)
                assert all(hasattr(module, each.name) for each in node.names), node.module


def test_the_readme_has_what_is_looked_for() -> None:
    text = (ROOT / "README.md").read_text()
    programs = {command[0] for command, _ in of_ours(text)}
    assert programs == {"make", "dvc", "lineage", "cocopipe"}
    assert ["download.source=coco"] in overrides(text)
    assert len(overrides(text)) >= 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\nlineage trac x\n```", "ends with 2"),
        ("```\ncocopipe export\n```", "ends with 2"),
        ("```\nexport A=b && dvc exp run --nothing\n```", "dvc does not take"),
        ("`dvc pul --force`", "dvc does not take"),
        ("`make deme`", "no target deme"),
        ("`make demo PYTHN=3`", "knows no PYTHN"),
    ],
)
def test_a_command_that_would_fail_is_noticed(text: str, said: str) -> None:
    ((command, is_whole),) = of_ours(text)
    assert said in refused(command, is_whole=is_whole)


@pytest.mark.parametrize("document", MANUALS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_command_writes_lies_where_git_does_not_take_it(document: Path) -> None:
    """For `git add -A`, which the README says, takes whatever is there."""
    text = document.read_text()
    written = re.findall(r"\.load\(\"(.*?)\"\)", "".join(blocks(text, "python")) + text)
    for command, is_whole in of_ours(text):
        if is_whole and command[0] in ("cocopipe", "lineage"):
            given = PARSERS[command[0]].parse_args(command[1:])
            if given.verb in ("export", "checkout"):
                written.append(given.directory)
            written.append(getattr(given, "out", None))
            written += [getattr(given, "pictures", None)]
    outside = [place for place in written if place and place not in KEPT]
    assert all(place.startswith("../") for place in outside), outside


def test_git_takes_nothing_that_dvc_draws() -> None:
    ignored = ["git", "check-ignore", "--quiet", "dvc_plots/index.html"]
    assert subprocess.run(ignored, cwd=ROOT).returncode == 0


def test_the_guide_says_what_git_is_to_ignore_as_the_example_does() -> None:
    ignored = (ROOT / "examples" / "tabular" / ".gitignore").read_text().split()
    guide = spans((ROOT / "docs" / "lineage.md").read_text())
    assert {*ignored} - {*guide} == {"__pycache__/"}
