"""Imports that do not look for garbage, and leave the collector as it was; and Ctrl-C."""

import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lineage.environment import importing

NEW = "a_module_of_no_name"


@pytest.fixture(autouse=True)
def _collector() -> Iterator[None]:
    """As it was, whatever earlier tests of this process did to it."""
    was_enabled, frozen = gc.isenabled(), gc.get_freeze_count()
    gc.enable()
    yield
    if not frozen:
        gc.unfreeze()
    if not was_enabled:
        gc.disable()


def test_what_is_imported_is_not_looked_through_meanwhile() -> None:
    before = gc.get_freeze_count()
    with importing(NEW):
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_what_is_imported_for_good_is_never_looked_through() -> None:
    before = gc.get_freeze_count()
    with importing(NEW, for_good=True):
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > before + len(made)


def test_an_import_that_fails_leaves_the_collector_on_and_nothing_frozen() -> None:
    before = gc.get_freeze_count()
    with pytest.raises(ImportError, match="not here"), importing(NEW, for_good=True):
        raise ImportError("not here")
    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_what_was_imported_before_changes_nothing() -> None:
    before = gc.get_freeze_count()
    assert "gc" in sys.modules
    with importing("gc"):
        assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_who_switched_the_collector_off_keeps_it_off() -> None:
    gc.disable()
    with importing(NEW):
        assert not gc.isenabled()
    assert not gc.isenabled()


WAITS = """
import signal, subprocess
from lineage.environment import stay_interruptible
import polars
stay_interruptible()
child = subprocess.Popen(["sleep", "30"])
print("waits", flush=True)
try:
    child.wait()
except KeyboardInterrupt:
    child.kill()
    print("interrupted")
"""


def test_ctrl_c_interrupts_what_is_waited_for_although_polars_is_imported() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITS],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waits\n"
        time.sleep(0.3)
        waiting.send_signal(signal.SIGINT)
        assert waiting.communicate(timeout=10)[0] == "interrupted\n"
