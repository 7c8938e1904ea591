"""The ``lineage`` command."""

import argparse
import gc
import io
import json
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lineage.console import display, positive
from lineage.errors import LineageError, in_a_sentence

if TYPE_CHECKING:
    from rich.console import RenderableType

REF = (
    "a run id, models:/name/3, models:/name@alias, a git revision, path@revision, a path, a DVC"
    " hash or the beginning of one"
)
FORMATS = ("mermaid", "dot", "html", "openlineage")
INTERRUPTED = 130
NEWEST = 20
"""How many dataset versions `log` shows."""
NO_LIMIT = 10_000
"""Columns."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(arguments)
    _set_up_process()
    try:
        with in_a_sentence():
            return int(options.run(options))
    except LineageError as error:
        print(f"lineage: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has had enough.
        sys.stderr.close()
        return 0


def _set_up_process() -> None:
    # Short-lived, and making many objects: looking for cycles among them costs seconds.
    gc.disable()
    # Lineage is followed step by step, and may be long.
    sys.setrecursionlimit(20_000)
    if threading.current_thread() is threading.main_thread():
        # A CI that cancels a job sends this; what is half done is taken back as for Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def parser() -> argparse.ArgumentParser:
    """Every verb with its arguments."""
    top = argparse.ArgumentParser(
        prog="lineage",
        description="Which bytes made which model: DVC and MLflow as one.",
        epilog=f"REF is {REF}.",
    )
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], about: str, *, as_json: bool = True
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=about, description=about, epilog=f"REF is {REF}.")
        added.set_defaults(run=run)
        if as_json:
            added.add_argument("--json", action="store_true", help="for programs")
        return added

    log = verb("log", _log, "dataset versions over the history of git")
    log.add_argument("path", nargs="?", help="only what is tracked there or below")
    log.add_argument(
        *("-n", "--number"),
        type=positive,
        default=NEWEST,
        help=f"so many, the newest; {NEWEST} by default",
    )
    log.add_argument("--all", action="store_true", help="all of them")
    show = verb("show", _show, "one thing, its neighbours, and where it is")
    show.add_argument("ref", metavar="REF")
    trace = verb("trace", _trace, "everything upstream: runs, dataset versions, archives")
    trace.add_argument("ref", metavar="REF")
    impact = verb("impact", _impact, "everything downstream: runs, model versions, aliases")
    impact.add_argument("ref", metavar="REF")
    diff = verb("diff", _diff, "what changed between two: code, params, data, metrics")
    diff.add_argument("a", metavar="A", help="a REF")
    diff.add_argument("b", metavar="B", help="a REF")
    checkout = verb("checkout", _checkout, "write data or a model, exactly, to a new folder")
    checkout.add_argument("ref", metavar="REF")
    checkout.add_argument("directory", metavar="DIR", help="must not exist yet")
    checkout.add_argument(
        "--inputs", action="store_true", help="what a model or run was made of, instead of it"
    )
    checkout.add_argument(
        "--code", action="store_true", help="make DIR a git worktree of the matching commit"
    )
    verify = verb("verify", _verify, "check that the record is whole; exits 1 if it is not")
    verify.add_argument("rev", metavar="REV", nargs="?", help="the working tree by default")
    sync = verb("sync", _sync, "bring the tracking store up to dvc.lock: what is missing is made")
    sync.add_argument("rev", metavar="REV", nargs="?", help="the working tree by default")
    graph = verb("graph", _graph, "the graph of what is upstream", as_json=False)
    graph.add_argument("ref", metavar="REF")
    graph.add_argument("--format", choices=FORMATS, default=FORMATS[0])
    graph.add_argument("--downstream", action="store_true", help="of what is downstream instead")
    report = verb("report", _report, "Markdown for a pull request", as_json=False)
    report.add_argument("rev", metavar="REV", nargs="?", help="the working tree by default")
    report.add_argument("--base", metavar="REV", help="what to compare with")
    report.add_argument(
        "--since", metavar="TIME", help="runs from then on are new; ISO 8601, such as `date -Is`"
    )
    return top


def _log(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.log import log

    answer = log(Project.find(), options.path, None if options.all else options.number)
    return _answer(options, answer, lambda text: text.log(answer))


def _show(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.show import show

    answer = show(Project.find(), options.ref)
    return _answer(options, answer, lambda text: text.show(answer))


def _trace(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.trace import trace

    answer = trace(Project.find(), options.ref)
    return _answer(options, answer, lambda text: text.tree(answer, upstream=True))


def _impact(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.impact import impact

    answer = impact(Project.find(), options.ref)
    return _answer(options, answer, lambda text: text.tree(answer, upstream=False))


def _diff(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.diff import diff

    answer = diff(Project.find(), options.a, options.b)
    return _answer(options, answer, lambda text: text.difference(answer))


def _checkout(options: argparse.Namespace) -> int:
    from pathlib import Path

    from lineage.project import Project
    from lineage.verbs.checkout import checkout

    answer = checkout(
        Project.find(),
        options.ref,
        Path(options.directory),
        inputs=options.inputs,
        code=options.code,
    )
    return _answer(options, answer, lambda text: text.checked_out(answer))


def _verify(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.verify import verify

    answer = verify(Project.find(), options.rev)
    _answer(options, answer, lambda text: text.verified(answer))
    return 1 if answer.breaks else 0


def _sync(options: argparse.Namespace) -> int:
    from lineage.project import Project
    from lineage.verbs.sync import sync

    answer = sync(Project.find(), options.rev)
    return _answer(options, answer, lambda text: text.synced(answer))


def _graph(options: argparse.Namespace) -> int:
    from lineage.formats import render
    from lineage.project import Project
    from lineage.repository.code import repository_url
    from lineage.verbs.impact import impact
    from lineage.verbs.trace import trace

    project = Project.find()
    graph = (impact if options.downstream else trace)(project, options.ref)
    namespace = repository_url(project.workspace) or project.workspace.git_root.as_uri()
    sys.stdout.write(render(graph, options.format, namespace=namespace).rstrip("\n") + "\n")
    _warn(graph.warnings)
    return 0


def _report(options: argparse.Namespace) -> int:
    from datetime import datetime

    from lineage.project import Project
    from lineage.verbs.report import report

    try:
        since = datetime.fromisoformat(options.since).astimezone() if options.since else None
    except ValueError as error:
        raise LineageError(
            f"--since {options.since} is no time: write it in ISO 8601, such as"
            " 2026-01-31T12:00:00+00:00."
        ) from error
    sys.stdout.write(report(Project.find(), options.rev, base=options.base, since=since))
    return 0


def _answer(
    options: argparse.Namespace, answer: Any, draw: "Callable[[Any], RenderableType]"
) -> int:
    """Print an answer: as JSON, or as text with its warnings on the error stream."""
    if options.json:
        print(json.dumps(answer.as_dict(), indent=2, ensure_ascii=False))
        return 0
    from lineage import text

    display(draw(text))
    _warn(
        getattr(answer, "warnings", ()) or getattr(getattr(answer, "graph", None), "warnings", ())
    )
    return 0


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"lineage: {warning}", file=sys.stderr)
