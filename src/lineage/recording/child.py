"""A command as a child of this process: its signals, and its exit code."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from lineage.errors import LineageError, reason
from lineage.recording.attempt import Interrupted

PATIENCE_S = 10.0
"""How long a command that was told to end may take before it is ended hard."""

PASSED_ON = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""Signals that are the command's business alone."""

BY_SIGNAL = 128
"""What shells add to the number of the signal that ended a command."""

_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code, as shells give it.
        was_stopped: Whether this process was told to end meanwhile, and passed that on.
    """

    code: int
    was_stopped: bool


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> Ended:
    """Run a command to its end, with this process's own input and output.

    Whatever signal this process gets, the command gets it once.

    Raises:
        LineageError: If it cannot be started.
    """
    # In the foreground of a terminal both get what is typed there, Ctrl-C among it, and the
    # command may read from it. Elsewhere a signal to the group of `dvc` would reach it twice.
    is_apart = not _is_in_foreground()
    try:
        child = subprocess.Popen(
            command,
            env=dict(environment),
            process_group=0 if is_apart else None,
            preexec_fn=_end_with_parent(),
        )
    except OSError as error:
        raise LineageError(
            f"{command[0]} cannot be started ({reason(error)}): correct the command after `--`."
        ) from error

    def send(number: int) -> None:
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if is_apart:
                os.killpg(child.pid, number)
            else:
                its = psutil.Process(child.pid)
                for process in [*its.children(recursive=True), its]:
                    process.send_signal(number)

    with _passing_on(send):
        return _wait(child, send, is_apart=is_apart)


def _wait(
    child: "subprocess.Popen[bytes]", send: Callable[[int], None], *, is_apart: bool
) -> Ended:
    patience_s: float | None = None
    was_stopped = False
    while True:
        try:
            code = child.wait(patience_s)
            return Ended(BY_SIGNAL - code if code < 0 else code, was_stopped)
        except subprocess.TimeoutExpired:
            send(signal.SIGKILL)
        except Interrupted:
            if patience_s is None:  # a second one comes where `dvc` was ended together with this
                send(signal.SIGTERM)
            was_stopped, patience_s = True, PATIENCE_S
        except KeyboardInterrupt:
            if is_apart:
                send(signal.SIGINT)
            was_stopped = True


@contextmanager
def _passing_on(send: Callable[[int], None]) -> Iterator[None]:
    def pass_on(number: int, _frame: object) -> None:
        send(number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether this process belongs to what its terminal, if it has one, shows."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _end_with_parent() -> Callable[[], None] | None:
    """What makes Linux end a new process when this one is killed, which cannot do it itself."""
    if sys.platform != "linux":
        return None
    # Looked up before the fork: after it, only what is there already is safe.
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_DIE_WITH_PARENT, int(signal.SIGTERM))

    return ask
