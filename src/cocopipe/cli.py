"""The ``cocopipe`` command."""

import argparse
import sys
from collections.abc import Sequence

from cocopipe.errors import UserError
from lineage.errors import LineageError, in_a_sentence


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
    parser.parse_args(arguments)
    try:
        with in_a_sentence():
            return _promote()
    except (UserError, LineageError) as error:
        print(f"cocopipe: {error}", file=sys.stderr)
        return 1


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
