"""``python -m cocopipe.stages VERB``: run a stage of ``dvc.yaml``; see ``bin/stage``."""

import errno
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import lineage
from cocopipe import installed, params
from cocopipe.errors import INTERRUPTED, UserError
from lineage.environment import importing

VERBS = ("download", "convert", "inspect", "train", "evaluate", "register")
CONTEXTS = {
    "train": {"train": "training", "val": "validation"},
    "evaluate": {"val": "evaluation"},
}
"""MLflow's context of what a stage reads, by name."""

_NO_ROOM = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "has no more room for you, by its quota",
    errno.EFBIG: "takes no files as large as this, by its own limit or `ulimit -f`",
}


def main(arguments: list[str]) -> int:
    """Run the stage; returns its exit code."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: bin/stage {{{','.join(VERBS)}}}", file=sys.stderr)
        return 2
    verb = arguments[0]
    try:
        installed.check()
        with lineage.stage(CONTEXTS.get(verb)) as run, _full_disk_in_a_sentence():
            settings = params.read(run.workspace.root / "params.yaml")
            # Late, so that a wrong setting or a missing server is not told after torch's 5 s.
            name = f"cocopipe.stages.{verb}"
            with importing(name, for_good=True):
                module = importlib.import_module(name)
            getattr(module, verb)(run, settings)
    except (UserError, lineage.LineageError) as error:
        print(f"{verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"{verb}: interrupted {error}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    return 0


@contextmanager
def _full_disk_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        where = error.filename or "of the working tree"
        raise UserError(
            f"the disk {where} {_NO_ROOM[error.errno]}: make room and run `dvc repro` again;"
            " nothing half-written is left."
        ) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
