"""docs/questions.md shows what the commands print: each is run here, in a project like that.

``UPDATE_DOCS=1`` writes what they print into the document instead.
"""

import os
import re
import shlex
from collections.abc import Callable

import pytest

from lineage.cli import main
from tests.stages.conftest import ROOT, Clone

DOCUMENT = ROOT / "docs" / "questions.md"
# A block with four backticks may hold one with three, as a report does.
BLOCK = re.compile(r"^(`{3,4})console\n(.*?)^\1$", re.DOTALL | re.MULTILINE)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def asked(two_versions: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished pipeline as data-v1 with a champion, and more images as data-v2."""
    clone = two_versions.copy(tmp_path_factory.mktemp("asked") / "project")
    clone.run("cocopipe", "promote", LOGNAME="kim")
    return clone


@pytest.fixture
def printed(
    asked: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], str]:
    """What a command prints: a plain `lineage` in this process, since each start takes seconds."""
    monkeypatch.chdir(asked.root)

    def of(command: str) -> str:
        if not command.startswith("lineage "):
            done = asked.run("sh", "-c", command, ok=False)
            return done.stdout + done.stderr
        main(shlex.split(command)[1:])
        told = capsys.readouterr()
        return told.out + told.err

    return of


def test_the_document_shows_what_the_commands_print(
    asked: Clone, printed: Callable[[str], str]
) -> None:
    text = DOCUMENT.read_text()
    shown = [block for _, block in BLOCK.findall(text)]
    now = [_session(asked, block, printed) for block in shown]
    if os.environ.get("UPDATE_DOCS"):
        blocks = iter(now)
        DOCUMENT.write_text(
            BLOCK.sub(lambda fence: f"{fence[1]}console\n{next(blocks)}{fence[1]}", text)
        )
        return
    for block, its in zip(shown, now, strict=True):
        assert _without_chance(block) == _without_chance(its)


def test_every_verb_is_shown() -> None:
    from lineage.cli import parser

    verbs = next(iter(parser()._subparsers._group_actions)).choices  # type: ignore[union-attr]
    shown = re.findall(r"^\$ (?:\w+=\S+ )?lineage (\w+)", DOCUMENT.read_text(), re.MULTILINE)
    # `run` asks nothing: docs/lineage.md tells of it.
    assert set(verbs) - {"run"} == set(shown)


def _session(clone: Clone, block: str, printed: Callable[[str], str]) -> str:
    lines = []
    for line in block.splitlines():
        if line.startswith("$ "):
            said = printed(line.removeprefix("$ ")).replace(str(clone.root.parent), "..")
            lines.append(f"{line}\n{said.rstrip()}\n".replace("\n\n\n", "\n\n"))
    return "".join(re.sub(r"[ \t]+$", "", line, flags=re.MULTILINE) for line in lines)


def _without_chance(text: str) -> str:
    """The text with ids, times and measurements as names of their first occurrence.

    What a training run gives differs between kinds of processors in its last digits, and so
    does every hash after it, and how many bytes it takes to write a metric down.
    """
    names: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        return names.setdefault(match[0], f"<id {len(names)}>")

    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "<time>", text)
    text = re.sub(r"\b(m-)?[0-9a-f]{8,}\b", named, text)
    text = re.sub(r"\b(AP\w*`?) -?[0-9.]+(e-?\d+)?", r"\1 <number>", text)
    text = re.sub(r"\b[0-9,]+((\.|#46;)\d+)? (bytes|B|kB|MB)\b", "<bytes>", text)
    text = re.sub(r"-?\d+\.\d+(e-?\d+)?", "<number>", text)
    return re.sub(r"[ ─-]+", " ", text)


def test_chance_is_all_that_is_left_out() -> None:
    once = _without_chance("run 0123456789 2026-01-01 10:00  AP 0.25  12 files, 7.1 kB")
    assert once == _without_chance("run fedcba9876 2027-12-31 23:59 AP 0     12 files, 998 B")
    assert once != _without_chance("run fedcba9876 2027-12-31 23:59 AP 0     13 files, 998 B")
