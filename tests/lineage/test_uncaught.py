"""How an error that a stage's script does not catch reaches the terminal."""

import subprocess
import sys

import pytest

from tests.lineage.conftest import Project

SCRIPT = """
import pygit2
from lineage.errors import LineageError, in_a_sentence, tell_uncaught

tell_uncaught()
tell_uncaught()
{line}
"""


def ended(line: str) -> subprocess.CompletedProcess[str]:
    """A script after this line, which ends it."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(line=line)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    return done


def test_what_the_bridge_says_is_one_sentence() -> None:
    assert ended("raise LineageError('it rains.')").stderr == "lineage: it rains.\n"


def test_its_cause_is_not_told() -> None:
    done = ended(
        "try: 1 / 0\nexcept ZeroDivisionError as e: raise LineageError('it rains.') from e"
    )
    assert done.stderr == "lineage: it rains.\n"


@pytest.mark.parametrize(
    ("line", "last"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        (
            "with in_a_sentence(): raise pygit2.GitError('no such branch')",
            "lineage.errors.SaidByOthersError: git: no such branch",
        ),
    ],
)
def test_what_others_say_keeps_its_traceback(line: str, last: str) -> None:
    said = ended(line).stderr
    assert said.startswith("Traceback")
    assert said.splitlines()[-1] == last


def test_a_traceback_tells_no_password() -> None:
    url = "https://bob:SECRETPW@example.org/r.git?key=SECRETQ"
    said = ended(f"with in_a_sentence(): raise pygit2.GitError('no {url} there')").stderr
    assert said.startswith("Traceback")
    assert said.count("no https://example.org/r.git there") == 2
    assert "SECRET" not in said
    assert "bob" not in said


def test_a_hook_of_the_script_is_still_asked() -> None:
    line = "raise ValueError('mine')"
    hook = "import sys; sys.excepthook = lambda *of: print('asked:', of[1], file=sys.stderr)"
    code = SCRIPT.format(line=line).replace("import pygit2", hook, 1)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "asked: mine\n"


@pytest.mark.slow
def test_a_script_may_catch_it(project: Project) -> None:
    project.write("dvc.yaml", "stages: {make: {cmd: python own.py, outs: [out.txt]}}")
    project.write(
        "own.py",
        "import lineage\n"
        "with lineage.stage() as run:\n"
        "    try: run.dep('no')\n"
        "    except lineage.LineageError as error: run.out('out').write_text(str(error))\n",
    )
    project.commit("code")
    project.run("dvc", "repro")
    assert "declares no path named 'no'" in (project.root / "out.txt").read_text()
    assert [run.info.status for run in project.runs("make")] == ["FINISHED"]


def test_a_warning_is_text_and_tells_no_password() -> None:
    line = "import logging; logging.getLogger('lineage').warning('%s', {text!r}); 1 / 0"
    said = ended(line.format(text="\x1b[31m http://bob:SECRETPW@h/x\nlineage: forged")).stderr
    assert said.splitlines()[0] == r"\x1b[31m http://h/x\nlineage: forged"
