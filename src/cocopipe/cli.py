"""The ``cocopipe`` command."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cocopipe.errors import UserError
from lineage.errors import LineageError, in_a_sentence

if TYPE_CHECKING:
    from lineage.project import Project
    from lineage.workspace import Item

CONVERT = "convert"
"""The stage whose outputs are the converted splits."""

INTERRUPTED = 130


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
        "export", help="write the converted data as a COCO directory, equal to its source"
    )
    export.add_argument("directory", metavar="DIR", help="must not exist yet")
    export.add_argument(
        "--rev", help="a git revision, tag or DVC experiment; the working tree by default"
    )
    options = parser.parse_args(arguments)
    try:
        with in_a_sentence():
            return _promote() if options.verb == "promote" else _export(options)
    except (UserError, LineageError) as error:
        print(f"cocopipe: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _export(options: argparse.Namespace) -> int:
    from contextlib import ExitStack
    from pathlib import Path

    from tqdm import tqdm

    from cocopipe.coco.export import export
    from cocopipe.coco.store import ImageStore
    from lineage.project import Project
    from lineage.storage import appearing, exact, readable

    project = Project.find()
    items = _converted(project, options.rev)
    with ExitStack() as stack:
        places = stack.enter_context(readable(project.workspace, items))
        splits = [
            places[item] if item in places else stack.enter_context(exact(project.workspace, item))
            for item in items
        ]
        out = stack.enter_context(appearing(Path(options.directory)))
        images = sum(len(ImageStore(split)) for split in splits)
        progress = stack.enter_context(
            tqdm(total=images, desc="export", unit="image", disable=None)
        )
        done = export(splits, out, advance=progress.update)
    for each in done:
        listed = ", ".join(each.documents)
        print(f"{options.directory}: {each.split}, {each.images} images, {listed}")
    return 0


def _converted(project: "Project", rev: str | None) -> "list[Item]":
    """The splits that the convert stage wrote, as a revision or the working tree records them."""
    history = project.history
    commit = history.present if rev is None else history.named(rev)
    stages = history.snapshot(commit).stages
    items = [
        item for stage in stages if stage.execution.stage.name == CONVERT for item in stage.outs
    ]
    if not items:
        raise UserError(
            f"{rev or 'dvc.lock'} records no outputs of the stage {CONVERT}: run `dvc repro"
            f" {CONVERT}` first"
        )
    return items


def _promote() -> int:
    from cocopipe import params
    from cocopipe.promotion import promote
    from lineage import tracking
    from lineage.workspace import Workspace

    workspace = Workspace.find()
    register = params.read(workspace.root / "params.yaml").register
    decision = promote(tracking.connect(workspace), register.model_name, register.promote_metric)
    print(f"{'promoted' if decision.promoted else 'kept'}: {decision.reason}")
    return 0
