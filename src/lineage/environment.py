"""This process: its interpreter, its packages, how it imports them, and that it tells nobody.

What `describe` says is recorded beside a run, and not part of its signature: DVC does not rerun
for it.
"""

import gc
import hashlib
import os
import platform
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def importing(module: str, *, for_good: bool = False) -> Iterator[None]:
    """Import a large package, and what comes with it, in little more than half the time.

    What it makes is no garbage: Python need not look through it for any meanwhile. Does nothing
    where it is imported already.

    Args:
        module: The package.
        for_good: Never look through it again either, the end of the process included, nor
            through anything else that is there now. Only for processes of our own.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        if for_good:
            gc.freeze()
    finally:
        gc.enable()


def send_nothing() -> None:
    """Keep MLflow from reporting how it is used. It looks when it is imported."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def stay_interruptible() -> None:
    """Let Ctrl-C interrupt whatever this process waits for, as Python does by itself.

    MLflow imports polars where it is installed, whose handler has the system go on waiting for a
    child, a lock or a server (SA_RESTART), so that nothing happens until that comes.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def describe(root: Path) -> dict[str, Any]:
    """Versions of Python, platform and every installed package, and the hash of the lock."""
    from importlib.metadata import distributions

    lock = root / "requirements.lock"
    packages: dict[str, str] = {}
    for distribution in distributions():
        # The first on the path is the one that is imported; there may be more.
        packages.setdefault(str(distribution.metadata["Name"]), distribution.version)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items())),
        "requirements.lock": _md5(lock) if lock.is_file() else None,
    }


def missing_packages(distribution: str, extra: str) -> list[str]:
    """The packages of a distribution's extra that are not installed.

    Empty also where the distribution itself is not installed, or has no such extra.
    """
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        needed = [Requirement(line) for line in requires(distribution) or []]
    except PackageNotFoundError:
        return []
    return [
        need.name
        for need in needed
        if need.marker
        and need.marker.evaluate({"extra": extra})
        and not need.marker.evaluate({"extra": ""})
        and not _is_installed(need.name)
    ]


def _is_installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
