"""The ``lineage`` command."""

import argparse
import atexit
import gc
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from lineage.answer import json_text
from lineage.console import positive
from lineage.edge import Parser, Said, Version, carry_out
from lineage.errors import LineageError

REF = (
    "a run id, models:/name/3, models:/name@alias, a git revision, path@revision, a path, a DVC"
    " hash or the beginning of one"
)
FORMATS = ("mermaid", "dot", "html", "openlineage")
NEWEST = 20
"""How many dataset versions `log` shows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    words, command = _apart(sys.argv[1:] if arguments is None else arguments)
    return carry_out(parser(), words, lambda options: _run(options, command))


def _apart(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What is ours, and what is the command after ``--``, which may have such words of its own."""
    if list(arguments[:1]) != ["run"] or "--" not in arguments:
        return arguments, ()
    place = arguments.index("--")
    return arguments[:place], arguments[place + 1 :]


def _run(options: argparse.Namespace, command: Sequence[str]) -> Said:
    options.command = command
    # Short-lived, and making many objects: looking for cycles among them costs seconds, the last
    # time when Python ends.
    gc.disable()
    atexit.register(gc.freeze)
    # Lineage is followed step by step, and may be long.
    sys.setrecursionlimit(20_000)
    said: Said = options.run(options)
    return said


def parser() -> argparse.ArgumentParser:
    """Every verb with its arguments."""
    top = Parser(
        prog="lineage",
        description="Which bytes made which model: DVC and MLflow as one.",
        epilog=f"REF is {REF}.",
    )
    top.add_argument("--version", action=Version)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb in VERBS:
        added = verbs.add_parser(
            verb.name, help=verb.about, description=verb.about, epilog=verb.epilog
        )
        if verb.as_json:
            added.add_argument("--json", action="store_true", help="print JSON, for programs")
        for flags, settings in verb.arguments.items():
            added.add_argument(*flags.split(), **settings)
        added.set_defaults(run=verb.run)
    return top


@dataclass(frozen=True)
class Verb:
    """A verb of the command.

    Attributes:
        name: As users write it.
        about: A phrase for its help.
        arguments: Name or flags of an argument -> what `argparse` is told of it.
        run: From its options to what it says.
        as_json: Whether ``--json`` is one of its options.
    """

    name: str
    about: str
    arguments: Mapping[str, Mapping[str, Any]]
    run: Callable[[argparse.Namespace], Said]
    as_json: bool = True

    @property
    def epilog(self) -> str | None:
        """What a REF is, for a verb that takes one."""
        takes_one = any("REF" in str(settings) for settings in self.arguments.values())
        return f"REF is {REF}." if takes_one else None


def _answer(
    name: str,
    take: Callable[[argparse.Namespace], tuple[Any, ...]],
    draw: Callable[[Any, Any], Any],
    *,
    flags: Sequence[str] = (),
    breaks: Callable[[Any], bool] = lambda _: False,
) -> Callable[[argparse.Namespace], Said]:
    """A verb that asks the function of its name in `lineage.verbs`, and shows the answer.

    Args:
        name: The verb's.
        take: From the options to the function's arguments after the project.
        draw: From `lineage.text` and the answer to what people are shown.
        flags: Options that are its arguments by name.
        breaks: Whether an answer makes the exit code 1.
    """

    def run(options: argparse.Namespace) -> Said:
        from lineage.project import Project

        ask = getattr(import_module(f"lineage.verbs.{name}"), name)
        by_name = {flag: getattr(options, flag) for flag in flags}
        answer = ask(Project.find(), *take(options), **by_name)
        code = int(breaks(answer))
        if options.json:
            return Said(json_text(answer), code=code)
        from lineage import text

        return Said(draw(text, answer), getattr(answer, "warnings", ()), code)

    return run


def _graph(options: argparse.Namespace) -> Said:
    from lineage.formats import render
    from lineage.project import Project
    from lineage.verbs.impact import impact
    from lineage.verbs.trace import trace

    project = Project.find()
    graph = (impact if options.downstream else trace)(project, options.ref)
    namespace = project.repository_url or project.workspace.git_root.as_uri()
    text = render(graph, options.format, namespace=namespace)
    return Said(f"{text.rstrip()}\n" if text.strip() else "", graph.warnings)


def _report(options: argparse.Namespace) -> Said:
    from lineage.project import Project
    from lineage.verbs.report import report

    try:
        since = datetime.fromisoformat(options.since).astimezone() if options.since else None
    except ValueError as error:
        raise LineageError(
            f"--since {options.since} is no time: write it in ISO 8601, such as"
            " 2026-01-31T12:00:00+00:00."
        ) from error
    return Said(report(Project.find(), options.rev, base=options.base, since=since))


def _record(options: argparse.Namespace) -> Said:
    from lineage.recording.command import run_command

    if options.words or not options.command:
        raise LineageError("say what to run after `--`: `lineage run -- COMMAND …`.")
    contexts = {}
    for each in options.context:
        name, is_given, context = each.partition("=")
        if not (name and is_given and context):
            raise LineageError(f"--context {each}: write NAME=CONTEXT, such as train=training.")
        contexts[name] = context
    return Said(code=run_command(options.command, contexts))


REV = "a git revision or the name of a DVC experiment"
_REF = {"ref": {"metavar": "REF", "help": "what is asked about, see below"}}
_CONTENT = {
    "--content": {
        "action": "store_true",
        "help": "read all bytes in the cache and remotes of this machine, and check their hashes",
    }
}
_REV = {
    "rev": {"metavar": "REV", "nargs": "?", "help": f"{REV}; the working tree by default"},
}

VERBS = (
    Verb(
        "log",
        "dataset versions over the history of git",
        {
            "path": {"nargs": "?", "help": "only what is tracked there or below"},
            "-n --number": {
                "type": positive,
                "default": NEWEST,
                "help": f"so many, the newest; {NEWEST} by default",
            },
            "--all": {"action": "store_true", "help": "all of them"},
        },
        _answer(
            "log",
            lambda its: (its.path, None if its.all else its.number),
            lambda text, log: text.log(log),
        ),
    ),
    Verb(
        "show",
        "one thing, its neighbours, and where it is",
        {**_REF, **_CONTENT},
        _answer(
            "show",
            lambda its: (its.ref,),
            lambda text, shown: text.show(shown),
            flags=("content",),
        ),
    ),
    Verb(
        "trace",
        "everything upstream: runs, dataset versions, archives",
        _REF,
        _answer(
            "trace",
            lambda its: (its.ref,),
            lambda text, graph: text.tree(graph, upstream=True),
        ),
    ),
    Verb(
        "impact",
        "everything downstream: runs, model versions, aliases",
        _REF,
        _answer(
            "impact",
            lambda its: (its.ref,),
            lambda text, graph: text.tree(graph, upstream=False),
        ),
    ),
    Verb(
        "diff",
        "what changed between two: code, params, data, metrics",
        {
            "a": {"metavar": "A", "help": "a REF"},
            "b": {"metavar": "B", "help": "a REF"},
        },
        _answer(
            "diff",
            lambda its: (its.a, its.b),
            lambda text, found: text.difference(found),
        ),
    ),
    Verb(
        "checkout",
        "write data or a model, exactly, to a new folder",
        {
            **_REF,
            "directory": {"metavar": "DIR", "help": "must not exist yet"},
            "--inputs": {
                "action": "store_true",
                "help": "what a model or run was made of, instead of it",
            },
            "--code": {
                "action": "store_true",
                "help": "make DIR a git worktree of the matching commit",
            },
        },
        _answer(
            "checkout",
            lambda its: (its.ref, Path(its.directory)),
            lambda text, brought: text.checked_out(brought),
            flags=("inputs", "code"),
        ),
    ),
    Verb(
        "verify",
        "check that the record is whole; exits 1 if it is not",
        {**_REV, **_CONTENT},
        _answer(
            "verify",
            lambda its: (its.rev,),
            lambda text, found: text.verified(found),
            flags=("content",),
            breaks=lambda found: bool(found.breaks),
        ),
    ),
    Verb(
        "sync",
        "bring the tracking store up to dvc.lock: what is missing is made",
        _REV,
        _answer("sync", lambda its: (its.rev,), lambda text, made: text.synced(made)),
    ),
    Verb(
        "when",
        "which version an alias was on, since when, who put it there, and why",
        {
            "alias": {"metavar": "ALIAS", "help": "such as models:/coco-detector@champion"},
            "--at": {
                "metavar": "DATE",
                "help": "only then: a day, or a time in ISO 8601, such as 2026-01-31T12:00",
            },
            "--because": {
                "metavar": "REASON",
                "help": "write down that somebody moved it by hand, and why, before the answer",
            },
        },
        _answer(
            "when",
            lambda its: (its.alias,),
            lambda text, answer: text.when(answer),
            flags=("at", "because"),
        ),
    ),
    Verb(
        "attempts",
        "what stopped attempts left for another to go on from, and what that takes of the disk",
        {
            "which": {
                "nargs": "*",
                "metavar": "WHICH",
                "help": "names of stages, or beginnings of signatures; all by default",
            },
            "--remove": {"action": "store_true", "help": "remove it, but for what runs"},
        },
        _answer(
            "attempts",
            lambda its: (its.which,),
            lambda text, left: text.attempts(left),
            flags=("remove",),
        ),
    ),
    Verb(
        "run",
        "record a stage's command, of any kind: in dvc.yaml, `cmd: lineage run -- COMMAND …`",
        {
            "--context": {
                "action": "append",
                "default": [],
                "metavar": "NAME=CONTEXT",
                "help": "MLflow's context of a dependency, such as train=training; may be repeated",
            },
            "words": {"nargs": "*", "metavar": "-- COMMAND", "help": "what to run, as it is"},
        },
        _record,
        as_json=False,
    ),
    Verb(
        "graph",
        "the graph of what is upstream",
        {
            **_REF,
            "--format": {
                "choices": FORMATS,
                "default": FORMATS[0],
                "help": f"{FORMATS[0]} by default",
            },
            "--downstream": {
                "action": "store_true",
                "help": "of what is downstream instead",
            },
        },
        _graph,
        as_json=False,
    ),
    Verb(
        "report",
        "Markdown for a pull request",
        {
            **_REV,
            "--base": {
                "metavar": "REV",
                "help": f"what to compare with: {REV}; the default branch by default",
            },
            "--since": {
                "metavar": "TIME",
                "help": "runs from then on are new; ISO 8601, such as `date -Is`",
            },
        },
        _report,
        as_json=False,
    ),
)
"""In the order of the help."""
