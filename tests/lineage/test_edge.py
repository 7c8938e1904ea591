"""Streams and exit codes of a command, whoever reads and wherever they lead."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

import cocopipe.cli
import lineage.cli
from lineage.answer import json_text
from tests.lineage.conftest import Project
from tests.lineage.nasty import NASTY

SCRIPT = """
import os, sys, warnings
from lineage.edge import Parser, Said, Version, carry_out
from lineage.errors import LineageError

def work(options):
    {work}

parser = Parser(prog="it", description="x" * 100_000)
parser.add_argument("--version", action=Version)
sys.exit(carry_out(parser, sys.argv[1:], work))
"""
SAYS = "return Said('answer\\n' * 100_000, ('careful.',), code=7)"

Where = Callable[[ExitStack], dict[str, int]]


def gone(stack: ExitStack) -> int:
    """A pipe whose reader has had enough."""
    reading, writing = os.pipe()
    os.close(reading)
    stack.callback(os.close, writing)
    return writing


def full(stack: ExitStack) -> int:
    return stack.enter_context(Path("/dev/full").open("w")).fileno()


def ended(
    *words: str, work: str = SAYS, shell: str = "", **streams: Callable[[ExitStack], int]
) -> subprocess.CompletedProcess[str]:
    """A command that does this work, with some streams leading elsewhere."""
    command = [sys.executable, "-c", SCRIPT.format(work=work), *words]
    if shell:
        command = ["sh", "-c", f'exec "$@" {shell}', "sh", *command]
    with ExitStack() as stack:
        opened = {name: make(stack) for name, make in streams.items()}
        return subprocess.run(
            command,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **opened},
            text=True,
            timeout=60,
        )


def test_the_answer_is_on_one_stream_and_warnings_on_the_other() -> None:
    done = ended()
    assert (done.returncode, done.stdout) == (7, "answer\n" * 100_000)
    assert done.stderr == "it: careful.\n"


def test_a_reader_that_went_away_changes_no_exit_code() -> None:
    done = ended(stdout=gone)
    assert (done.returncode, done.stderr) == (7, "it: careful.\n")


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)], ids=" ".join)
def test_an_answer_that_there_is_no_room_for_is_a_failure(words: tuple[str, ...]) -> None:
    done = ended(*words, stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        "it: the answer cannot be written to standard output (No space left on device): make room"
        " for it, or send it elsewhere.\n"
    )


@pytest.mark.parametrize("words", [(), ("--help",), ("--version",)], ids=" ".join)
def test_so_is_one_that_nobody_can_get(words: tuple[str, ...]) -> None:
    done = ended(*words, shell=">&-")
    assert done.returncode == 1
    assert done.stderr.startswith("it: the answer cannot be written to standard output")
    assert done.stderr.count("\n") == 1


def test_the_first_file_that_is_opened_does_not_become_the_closed_stream() -> None:
    work = "opened = open(os.devnull); return Said(code=opened.fileno())"
    assert ended(work=work, shell=">&- 2>&- <&-").returncode > 2


@pytest.mark.parametrize("streams", [{"shell": "2>&-"}, {"stderr": full}, {"stderr": gone}])
def test_without_an_error_stream_the_answer_is_the_same(streams) -> None:
    done = ended(**streams)
    assert (done.returncode, done.stdout) == (7, "answer\n" * 100_000)


@pytest.mark.parametrize("streams", [{"shell": "2>&-"}, {"stderr": full}, {"stderr": gone}])
def test_without_an_error_stream_an_error_has_its_exit_code(streams) -> None:
    done = ended(work="raise LineageError('it rains.')", **streams)
    assert (done.returncode, done.stdout) == (1, "")


def test_neither_stream_has_a_reader() -> None:
    assert ended(stdout=gone, stderr=gone).returncode == 7


def test_what_others_print_meanwhile_is_no_part_of_the_answer() -> None:
    work = "print('View run'); warnings.warn('old'); return Said('{}\\n')"
    done = ended(work=work)
    assert (done.returncode, done.stdout) == (0, "{}\n")
    assert done.stderr.startswith("View run\n")
    assert "UserWarning: old" in done.stderr


def test_an_error_leaves_the_answer_empty() -> None:
    done = ended(work="print('half'); raise LineageError('it rains.')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "half\nit: it rains.\n"


def test_ctrl_c_has_the_exit_code_of_shells() -> None:
    work = "os.kill(os.getpid(), __import__('signal').SIGINT); __import__('time').sleep(9)"
    done = ended(work=work)
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")


def test_a_wrong_argument_is_told_as_text() -> None:
    done = ended("--\x1b[31m")
    assert done.returncode == 2
    assert "\\x1b[31m" in done.stderr
    assert "\x1b" not in done.stderr


def test_an_error_that_nobody_expected_tells_no_password() -> None:
    done = ended(work="raise ValueError('no https://bob:SECRET@example.org/x there')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ValueError: no https://example.org/x there"


@pytest.mark.parametrize("name", NASTY, ids=ascii)
def test_json_is_exact_and_obeyed_by_nothing(name: str) -> None:
    written = json_text({name: [name]})
    assert json.loads(written) == {name: [name]}
    assert written.isascii()
    assert written.replace("\n", "").isprintable()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_json_has_no_number_that_it_does_not_know(value: float) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    written = json_text({"a": [{"b": (value, {"c": value})}]})
    read = json.loads(written, parse_constant=refuse)
    assert read["a"][0]["b"] == [str(value), {"c": str(value)}]


@pytest.mark.parametrize(
    ("words", "stream", "said"),
    [
        (["verify", "--json"], gone, ""),
        (["verify"], full, "lineage: the answer cannot"),
    ],
)
def test_a_verb_that_found_something_says_so_by_its_exit_code(
    copied: Project, words: list[str], stream: Callable[[ExitStack], int], said: str
) -> None:
    with ExitStack() as stack:
        done = subprocess.run(
            [*("lineage", *words)],
            cwd=copied.root,
            env=copied.environment,
            stdout=stream(stack),
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") <= 1


@pytest.mark.parametrize("command", [lineage.cli, cocopipe.cli], ids=lambda module: module.__name__)
def test_every_verb_and_every_argument_has_help(command) -> None:
    top = command.parser()
    (verbs,) = [each for each in top._actions if each.dest == "verb"]
    assert {each.dest for each in verbs._choices_actions if each.help} == set(verbs.choices)
    for parser in (top, *verbs.choices.values()):
        assert parser.description
        assert [each.dest for each in parser._actions if not each.help and each != verbs] == []


def test_what_a_ref_is_stands_where_one_is_asked_for_and_nowhere_else() -> None:
    (verbs,) = [each for each in lineage.cli.parser()._actions if each.dest == "verb"]
    for name, parser in verbs.choices.items():
        said = " ".join(parser.format_help().split())
        assert ("REF is a run id" in said) == (name in WITH_REF), name
        assert ("a git revision or the name of a DVC experiment" in said) == (name in WITH_REV)


WITH_REF = ("show", "trace", "impact", "diff", "checkout", "graph")
WITH_REV = ("verify", "sync", "report")


@pytest.mark.parametrize("command", ["lineage", "cocopipe"])
def test_a_command_is_a_module_and_tells_its_version(command: str) -> None:
    asked = [Path(sys.executable).parent / command], [sys.executable, "-m", command]
    said = {
        subprocess.run([*words, "--version"], capture_output=True, text=True, check=True).stdout
        for words in asked
    }
    assert len(said) == 1
    name, number = said.pop().split()
    assert name == command
    assert number[0].isdecimal()


@pytest.mark.parametrize("command", ["lineage", "cocopipe"])
def test_help_imports_nothing_that_takes_time(command: str) -> None:
    program = (
        f"import sys; from {command}.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    slow = {"mlflow", "dvc", "rich", "pygit2", "numpy", "torch", "logging", "importlib.metadata"}
    assert slow & set(said.stdout.split()) == set()
