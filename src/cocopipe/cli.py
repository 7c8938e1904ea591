"""The ``cocopipe`` command."""

import argparse
from collections.abc import Sequence
from importlib import import_module

from cocopipe import installed
from cocopipe.errors import UserError
from lineage.console import positive
from lineage.edge import Parser, Said, Version, carry_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return carry_out(parser(), arguments, _run, UserError)


def _run(options: argparse.Namespace) -> Said:
    installed.check()
    command = import_module(f"cocopipe.commands.{options.verb.replace('-', '_')}")
    said: Said = command.run(options)
    return said


def parser() -> argparse.ArgumentParser:
    """Every verb with its arguments."""
    top = Parser(
        prog="cocopipe", description="Detection datasets and the detectors trained on them."
    )
    top.add_argument("--version", action=Version)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_promote(verbs)
    _add_export(verbs)
    _add_diff(verbs)
    _add_find(verbs)
    _add_predict(verbs)
    _add_export_model(verbs)
    _add_ui(verbs)
    return top


def _add(
    verbs: "argparse._SubParsersAction[Parser]", name: str, about: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=about, description=about)


def _add_promote(verbs: "argparse._SubParsersAction[Parser]") -> None:
    promote = _add(
        verbs,
        "promote",
        "give the candidate the alias champion if its metric improves on the same data",
    )
    promote.add_argument("--json", action="store_true", help="print it as JSON, with the figures")


def _add_export(verbs: "argparse._SubParsersAction[Parser]") -> None:
    export = _add(
        verbs, "export", "write the converted data as COCO, equal to its source, or for other tools"
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


def _add_diff(verbs: "argparse._SubParsersAction[Parser]") -> None:
    diff = _add(verbs, "diff", "what changed between two versions of the converted data")
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


def _add_find(verbs: "argparse._SubParsersAction[Parser]") -> None:
    found = _add(verbs, "find", "in which split and version of the converted data a picture is")
    found.add_argument(
        "what", metavar="WHAT", help="a SHA-256 or how it begins, a file, an image's name or id"
    )
    where = found.add_mutually_exclusive_group()
    where.add_argument(
        "--rev",
        help="a git revision, tag or DVC experiment, path@revision, a DVC hash, a directory; what"
        " dvc.lock records by default",
    )
    where.add_argument("--all", action="store_true", help="in every version that history records")
    found.add_argument("--json", action="store_true", help="print it as JSON")


def _add_predict(verbs: "argparse._SubParsersAction[Parser]") -> None:
    predict = _add(verbs, "predict", "what a model finds on images, as files and as a run")
    predict.add_argument(
        "model",
        metavar="MODEL",
        help="models:/name/version or @alias, a folder, path@revision, a DVC hash",
    )
    predict.add_argument(
        "images", metavar="IMAGES", nargs="+", help="image files, folders of them, converted splits"
    )
    predict.add_argument("--out", metavar="DIR", required=True, help="must not exist yet, or empty")
    predict.add_argument(
        "--score-threshold",
        metavar="X",
        type=_probability,
        default=0.3,
        help="leave out what scores lower; %(default)s by default",
    )
    predict.add_argument(
        "--max-detections",
        metavar="N",
        type=positive,
        default=100,
        help="of an image; %(default)s by default",
    )
    predict.add_argument(
        "--upright", action="store_true", help="turn image files as their EXIF asks, first"
    )
    predict.add_argument(
        "--dataset",
        action="store_true",
        help="write the images with what was found as a COCO dataset, too: labels to begin with",
    )
    predict.add_argument(
        "--pictures", metavar="N", type=_number, help="how many images to draw; all by default"
    )
    predict.add_argument(
        "--device", default="auto", help="cpu, cuda or cuda:N; a GPU by default, if there is one"
    )


def _add_export_model(verbs: "argparse._SubParsersAction[Parser]") -> None:
    export = _add(
        verbs, "export-model", "write a model as an ONNX file that was scored, and a run of it"
    )
    export.add_argument(
        "model",
        metavar="MODEL",
        help="models:/name/version or @alias, a folder, path@revision, a DVC hash",
    )
    export.add_argument("--format", choices=("onnx",), default="onnx", help="onnx by default")
    export.add_argument("--out", metavar="FILE", required=True, help="must not exist yet")
    export.add_argument(
        "--on",
        metavar="DATA",
        help="the split to score it on: path, path@revision, a DVC hash; by default that which the"
        " version was evaluated on last",
    )


def _add_ui(verbs: "argparse._SubParsersAction[Parser]") -> None:
    ui = _add(verbs, "ui", "open the project's runs in MLflow's web page")
    ui.add_argument(
        "--port", type=_port, metavar="N", help="5000 by default, or the next that is free"
    )


def _port(text: str) -> int:
    port = positive(text)
    if port > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port, of which there are 65535")
    return port


def _number(text: str) -> int:
    return 0 if text == "0" else positive(text)


def _probability(text: str) -> float:
    return 0.0 if text in ("0", "0.0") else _share(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, and 1 at most")
    return value
