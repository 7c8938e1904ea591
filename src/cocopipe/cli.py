"""The ``cocopipe`` command."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cocopipe import installed
from cocopipe.errors import INTERRUPTED, UserError
from lineage.console import positive
from lineage.errors import LineageError, in_a_sentence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        with in_a_sentence():
            installed.check()
            command = import_module(f"cocopipe.commands.{options.verb}")
            return int(command.run(options))
    except (UserError, LineageError) as error:
        print(f"cocopipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cocopipe", description="Detection datasets and the detectors trained on them."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser(
        "promote",
        help="give the candidate the alias champion if its metric improves on the same data",
    )
    _add_export(verbs)
    _add_diff(verbs)
    _add_ui(verbs)
    return parser


def _add_export(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    export = verbs.add_parser(
        "export", help="write the converted data as COCO, equal to its source, or for other tools"
    )
    export.add_argument("directory", metavar="DIR", help="must not exist yet")
    form = export.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=("coco", "yolo", "hf"),
        default="coco",
        help="coco by default; yolo as Ultralytics reads it; hf for datasets.load_dataset",
    )
    form.add_argument(
        "--zip", action="store_true", help="a zip that CVAT and other tools import as COCO 1.0"
    )
    export.add_argument(
        "--rev", help="a git revision, tag or DVC experiment; the working tree by default"
    )


def _add_diff(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    diff = verbs.add_parser("diff", help="what changed between two versions of the converted data")
    for side in ("a", "b"):
        diff.add_argument(
            side,
            metavar=side.upper(),
            help="a git revision, tag or DVC experiment, path@revision, a DVC hash, a directory",
        )
    diff.add_argument(
        "--document", help="such as captions; instances by default, or else the first there is"
    )
    diff.add_argument(
        "--iou",
        type=_share,
        default=0.5,
        help="what a moved box has in common with what it was, at least; %(default)s by default",
    )
    diff.add_argument("--json", action="store_true", help="print all of it as JSON")
    diff.add_argument(
        "--pictures", metavar="DIR", help="draw the most changed images; must not exist yet"
    )
    diff.add_argument(
        "--images", metavar="N", type=positive, default=12, help="to draw; %(default)s by default"
    )


def _add_ui(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ui = verbs.add_parser("ui", help="open the project's runs in MLflow's web page")
    ui.add_argument(
        "--port", type=_port, metavar="N", help="5000 by default, or the next that is free"
    )


def _port(text: str) -> int:
    port = positive(text)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, of which there are 65535")
    return port


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, and 1 at most")
    return value
