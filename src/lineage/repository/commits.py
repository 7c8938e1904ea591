"""Commits, and the names that people have for them."""

import re
from dataclasses import dataclass
from datetime import datetime

EXPERIMENT = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")
"""Where DVC keeps a finished experiment: under its baseline's commit, by its name."""
ABBREVIATED = re.compile(r"[0-9a-f]{4,39}")
SHORT = 8
"""Digits of a commit where it is shown to people."""

WORKSPACE = "workspace"
"""Name of what is in the working tree and in no commit yet."""


@dataclass(frozen=True)
class Commit:
    """A git commit, or the working tree as if it were one.

    Attributes:
        id: Of the commit; empty for the working tree.
        time: When it was committed, in UTC.
        parents: Their ids.
        subject: The first line of its message.
        names: Branches, tags and DVC experiments that point to it.
    """

    id: str
    time: datetime
    parents: tuple[str, ...]
    subject: str
    names: tuple[str, ...]

    @property
    def short(self) -> str:
        """For people."""
        return self.id[:SHORT] or WORKSPACE


def _name_of_reference(reference: str) -> str | None:
    """What people call a reference; None for those that are no names of revisions."""
    experiment = EXPERIMENT.fullmatch(reference)
    if experiment:
        return experiment[1]
    for prefix in ("refs/heads/", "refs/tags/", "refs/remotes/"):
        if reference.startswith(prefix) and not reference.endswith("/HEAD"):
            return reference.removeprefix(prefix)
    return None
