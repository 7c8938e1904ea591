"""``python -m cocopipe.stages VERB``: run a stage of ``dvc.yaml``; see ``bin/stage``."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import lineage
from cocopipe import installed, params
from cocopipe.errors import INTERRUPTED, UserError
from cocopipe.stages import outcome
from lineage.environment import importing

VERBS = ("download", "convert", "inspect", "train", "evaluate", "register")
CONTEXTS = {
    "train": {"train": "training", "val": "validation"},
    "evaluate": {"val": "evaluation", "test": "evaluation"},
}
"""MLflow's context of what a stage reads, by name."""

GO_ON = ("train",)
"""Stages that go on where an earlier attempt was stopped."""

_NO_ROOM = {
    errno.ENOSPC: "is full",
    errno.EDQUOT: "has no more room for you, by its quota",
    errno.EFBIG: "takes no files as large as this, by its own limit or `ulimit -f`",
}

_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def main(arguments: list[str]) -> int:
    """Run the stage; returns its exit code."""
    if len(arguments) != 1 or arguments[0] not in VERBS:
        print(f"usage: bin/stage {{{','.join(VERBS)}}}", file=sys.stderr)
        return 2
    verb = arguments[0]
    try:
        installed.check()
        if int(os.environ.get("RANK", 0)):
            _take_part(verb)
            return 0
        with (
            lineage.stage(CONTEXTS.get(verb), goes_on=verb in GO_ON) as run,
            _interrupts_kept(),
            _unwritable_in_a_sentence(),
        ):
            settings = params.read(run.workspace.root / "params.yaml")
            # Late, so that a wrong setting or a missing server is not told after torch's 5 s.
            name = f"cocopipe.stages.{verb}"
            with importing(name, for_good=True):
                module = importlib.import_module(name)
            value = getattr(module, verb)(run, settings)
    except (UserError, lineage.LineageError) as error:
        print(f"{verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as error:
        print(f"{verb}: interrupted {error}".rstrip(), file=sys.stderr)
        return INTERRUPTED
    _tell(outcome.line(verb, value, [run.workspace.name_of(path) for path in run.outs]))
    return 0


def _take_part(verb: str) -> None:
    """Be another of torchrun's processes than the first, whose run it is."""
    if verb != "train":
        raise UserError("only train is work for several processes: run the others without torchrun")
    from cocopipe.detect.training.loop import take_part

    take_part(params.read(Path("params.yaml")).machine.device)


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """See to it that Ctrl-C ends the block as such.

    Python drops what is raised in a finalizer or a callback, of which libraries have many, and
    compiled code makes another error of it.
    """
    came = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before == signal.default_int_handler:  # and not ignored, as of a shell's background job
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception as error:
        if came:
            raise KeyboardInterrupt from error
        raise
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


@contextmanager
def _unwritable_in_a_sentence() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or "of the working tree"
        if error.errno in _NO_ROOM:
            raise UserError(
                f"the disk {where} {_NO_ROOM[error.errno]}: make room and run `dvc repro` again;"
                " nothing half-written is left."
            ) from error
        if error.errno in _NOT_ALLOWED:
            raise UserError(
                f"{where}: {error.strerror}; give yourself the right to write there, and run"
                " `dvc repro` again."
            ) from error
        raise


def _tell(line: str) -> None:
    """Print what came out. The stage is done, whether anybody can read this or not."""
    try:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        print(line, flush=True)
    except OSError:
        # Else Python tries again when it ends, and makes an error of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
