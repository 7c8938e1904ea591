"""The processes around a stage: the ``dvc`` that started it, and when its command began."""

import os
import time
from pathlib import Path

import psutil


def dvc_process() -> psutil.Process | None:
    """The ``dvc`` that started this stage: the nearest ancestor without its ``DVC_STAGE``."""
    parents = psutil.Process().parents()
    below = _below_dvc(parents)
    return parents[below] if below is not None else None


def command_began() -> float:
    """When the command of this stage was started, in seconds since the epoch.

    Without a ``dvc`` above it, when this process was.
    """
    this = psutil.Process()
    parents = this.parents()
    below = _below_dvc(parents) or 0
    return _began([this, *parents][below])


def _below_dvc(parents: list[psutil.Process]) -> int | None:
    """How many processes are between this one and ``dvc``, this one counted."""
    address = os.environ.get("DVC_STAGE")
    if not address:
        return None
    for place, parent in enumerate(parents):
        try:
            if parent.environ().get("DVC_STAGE") != address:
                return place
        except psutil.Error:  # another user's process, or one that just ended
            return place
    return None


def _began(process: psutil.Process) -> float:
    """When a process was started, or a moment later: it has read nothing by then.

    psutil knows it to a second only, where the system counts in hundredths.
    """
    stat = Path(f"/proc/{process.pid}/stat")
    try:
        # Behind the name of the program, which may hold anything: proc(5), field 22.
        ticks = int(stat.read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return float(process.create_time())
    uptime_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - uptime_s + (ticks + 2) / os.sysconf("SC_CLK_TCK")
