"""Ctrl-C, as a terminal sends it: to all processes of the stage at once."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from cocopipe.stages.__main__ import _interrupts_kept
from tests.stages.conftest import Clone


class DropsInterrupts:
    """As many a library's objects, it cleans up in a finalizer, which takes its time."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_ends_the_stage() -> None:
    with pytest.raises(KeyboardInterrupt), _interrupts_kept():
        DropsInterrupts()


def test_an_interrupt_that_a_library_makes_an_error_of_is_one() -> None:
    with pytest.raises(KeyboardInterrupt), _interrupts_kept():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt as error:
            raise TypeError("unexpected keyword argument") from error


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    """As a shell has it for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with _interrupts_kept():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(TypeError), _interrupts_kept():
        raise TypeError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def when_workers_end(process: psutil.Process) -> None:
    """Wait until the stage's readers, two for each split, begin to go."""
    most = 0
    while (now := len(process.children(recursive=True))) >= most:
        most = now if now >= FOUR_WORKERS else most
        time.sleep(0.003)


FOUR_WORKERS = 5
"""With the stage that started them."""


@pytest.mark.slow
def test_ctrl_c_as_a_training_ends_is_a_killed_run_without_a_traceback(copied: Clone) -> None:
    before = copied.lock()
    stage = subprocess.Popen(
        ["dvc", "repro", "--force", "--single-item", "train"],
        cwd=copied.root,
        env=copied.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    when_workers_end(psutil.Process(stage.pid))
    os.killpg(stage.pid, signal.SIGINT)
    said, _ = stage.communicate(timeout=60)
    assert stage.returncode
    assert "train: interrupted" in said
    assert "Traceback" not in said
    run = copied.runs()[-1]
    assert (run.data.tags["dvc.stage"], run.info.status) == ("train", "KILLED")
    assert copied.lock() == before
    assert not list(copied.root.rglob("*.partial"))
