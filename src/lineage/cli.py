"""The ``lineage`` command."""

import argparse
import sys
from collections.abc import Sequence

from lineage.errors import LineageError, in_a_sentence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="lineage", description="Which bytes made which model: DVC and MLflow as one."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    verbs.add_parser(
        "sync",
        help="bring the tracking store up to dvc.lock: runs, models, versions and aliases"
        " that are missing",
    )
    parser.parse_args(arguments)
    try:
        with in_a_sentence():
            return _sync()
    except LineageError as error:
        print(f"lineage: {error}", file=sys.stderr)
        return 1


def _sync() -> int:
    from lineage import tracking
    from lineage.sync import sync
    from lineage.workspace import Workspace

    workspace = Workspace.find()
    synced = sync(tracking.connect(workspace), workspace)
    for stage in synced.runs:
        print(f"{stage}: run written down from dvc.lock")
    for stage in synced.accepted:
        print(f"{stage}: accepted with `dvc commit`; no run made these outputs")
    for version, verdict in synced.versions:
        print(f"{version}: {verdict}")
    return 0
