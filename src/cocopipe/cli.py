"""The ``cocopipe`` command."""

import argparse
import sys
from collections.abc import Sequence

from cocopipe.errors import UserError
from lineage.console import display, positive
from lineage.errors import LineageError, in_a_sentence

INTERRUPTED = 130

_LONGEST_NAME = 60
"""Characters of a file name, which may take four bytes each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="cocopipe", description="Detection datasets and the detectors trained on them."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser(
        "promote",
        help="give the candidate the alias champion if its metric improves on the same data",
    )
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
    options = parser.parse_args(arguments)
    verb = {"promote": _promote, "export": _export, "diff": _diff}[options.verb]
    try:
        with in_a_sentence():
            return verb(options)
    except (UserError, LineageError) as error:
        print(f"cocopipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0, and 1 at most")
    return value


def _export(options: argparse.Namespace) -> int:
    from contextlib import ExitStack
    from pathlib import Path

    from tqdm import tqdm

    from cocopipe.coco.tables import image_ids
    from cocopipe.export import formats
    from cocopipe.versions import converted
    from lineage.project import Project
    from lineage.storage import appearing, exact, readable

    project = Project.find()
    items = converted(project, options.rev)
    with ExitStack() as stack:
        places = stack.enter_context(readable(project.workspace, items))
        splits = [
            places[item] if item in places else stack.enter_context(exact(project.workspace, item))
            for item in items
        ]
        out = stack.enter_context(appearing(Path(options.directory)))
        if not options.zip:
            out.mkdir()
        images = sum(len(image_ids(split)) for split in splits)
        progress = stack.enter_context(
            tqdm(total=images, desc="export", unit="image", disable=None)
        )
        write = formats()["zip" if options.zip else options.format]
        done = write(splits, out, advance=progress.update)
    for each in done:
        print(f"{options.directory}: {each}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    import json
    from contextlib import ExitStack
    from pathlib import Path

    from cocopipe import versions
    from cocopipe.diff.text import changes_text
    from lineage.storage import appearing

    before, after = versions.find(options.a), versions.find(options.b)
    found = {}
    with ExitStack() as stack:
        out = stack.enter_context(appearing(Path(options.pictures))) if options.pictures else None
        if out is not None:
            out.mkdir()
        for name, (one, other) in versions.pairs(before, after).items():
            comparison = versions.compare(one, other, document=options.document, iou=options.iou)
            found[name] = comparison.changes
            if out is not None:
                sheet = out / f"{name.strip('/').replace('/', '_')[-_LONGEST_NAME:]}.png"
                versions.draw_changes(comparison, sheet, pictures=options.images)
    if options.json:
        print(json.dumps({name: each.as_dict() for name, each in found.items()}, indent=2))
        return 0
    display(*(changes_text(name, changes) for name, changes in found.items()))
    return 0


def _promote(options: argparse.Namespace) -> int:
    del options
    from cocopipe import params
    from cocopipe.promotion import promote
    from lineage import tracking
    from lineage.workspace import Workspace

    workspace = Workspace.find()
    register = params.read(workspace.root / "params.yaml").register
    decision = promote(tracking.connect(workspace), register.model_name, register.promote_metric)
    print(f"{'promoted' if decision.promoted else 'kept'}: {decision.reason}")
    return 0
