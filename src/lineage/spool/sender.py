"""Sending what waits, in its order, to a store that may be away."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from lineage.errors import reason

if TYPE_CHECKING:
    from lineage.spool.spool import Spool

log = logging.getLogger("lineage")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between one attempt and the next, each twice as long as the one before."""

GATHERED_S = 0.5
"""How long records are gathered before they are sent together."""

REFUSALS = {
    "INVALID_PARAMETER_VALUE",
    "MALFORMED_REQUEST",
    "NOT_FOUND",
    "RESOURCE_DOES_NOT_EXIST",
}
"""Errors of MLflow's that the same request meets again."""

DOUBTFUL = "BAD_REQUEST"
"""Such an error, or what a server makes of almost any of its database."""


class Sender:
    """A thread that sends what a spool holds, and tries again while the store is away."""

    def __init__(self, spool: "Spool") -> None:
        """Make it of a spool; `start` sets it to work."""
        self._spool = spool
        self._wanted = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="lineage-sender")
        self.failures = 0
        """How many attempts failed since something arrived."""
        self.is_away = False
        """Whether the store did not answer when it was last asked."""
        self.began = self.arrived = time.monotonic()
        """When the present attempt began, and when something last arrived."""

    def start(self) -> None:
        """Set it to work."""
        self._thread.start()

    def hurry(self) -> None:
        """Send at once what waits, and try again at once."""
        self._wanted.set()

    def stop(self) -> None:
        """Begin nothing new. What it is about may still arrive."""
        self._over.set()
        self._wanted.set()

    def _work(self) -> None:
        pause_s = GATHERED_S
        while not self._over.is_set():
            self._wanted.wait(pause_s)
            self._wanted.clear()
            pause_s = GATHERED_S
            while self._spool.waiting and not self._over.is_set():
                if not self._sent():
                    self.failures += 1
                    # So long away, it is asked no more often, and the number stays one.
                    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(self.failures, 9), LONGEST_PAUSE_S)
                    break

    def _sent(self) -> bool:
        """Send the next; whether the store answered."""
        self.began = time.monotonic()
        try:
            self._spool.send_next()
        except Exception as error:  # noqa: BLE001 - of whatever kind, work must go on
            if not self.is_away:
                log.warning(
                    "the tracking store takes nothing (%s): the work goes on, and what is recorded"
                    " waits in %s until it does",
                    *(reason(error), self._spool.folder),
                )
            self.is_away = True
            return False
        if self.is_away:
            log.warning("the tracking store answers again: what waited is being sent")
        self.is_away, self.failures = False, 0
        self.arrived = time.monotonic()
        return True


def is_refusal(error: BaseException, *, in_doubt: bool = False) -> bool:
    """Whether a store has looked at a request and does not take it, now or later.

    Args:
        error: That came of the request.
        in_doubt: Also where it may be that the store had a trouble of its own.
    """
    code = getattr(error, "error_code", None)
    return code in REFUSALS or (in_doubt and code == DOUBTFUL)
