"""What stopped attempts left, for another to go on from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lineage.answer import Answer
from lineage.errors import LineageError
from lineage.project import Project
from lineage.recording.kept import Leftover, leftovers


@dataclass(frozen=True)
class Left(Answer):
    """What one attempt left.

    Attributes:
        stage: Of which it was an attempt.
        signature: What determined its result; the same work has the same.
        run: Its MLflow run.
        since: When it began.
        size_bytes: What it takes of the disk.
        runs: Whether it goes on at this moment.
    """

    stage: str
    signature: str
    run: str
    since: datetime
    size_bytes: int
    runs: bool


@dataclass(frozen=True)
class Attempts(Answer):
    """What attempts left, oldest first.

    Attributes:
        left: All that is there, or was until this was asked.
        removed: The signatures of what was removed.
    """

    left: tuple[Left, ...]
    removed: tuple[str, ...] = ()


def attempts(project: Project, which: Sequence[str] = (), *, remove: bool = False) -> Attempts:
    """List what stopped attempts left, of all working trees that belong to this one.

    Args:
        project: Where they ran.
        which: The beginnings of signatures, or names of stages; all where there is none.
        remove: Remove it, but for what a running attempt works with.

    Raises:
        LineageError: If nothing of such a name was left.
    """
    every = leftovers(project.workspace)
    for name in which:
        if not any(_is_named(each, name) for each in every):
            raise LineageError(
                f"no attempt at {name} left anything: `lineage attempts` lists those that did, by"
                " stage and signature."
            )
    chosen = [each for each in every if not which or any(_is_named(each, name) for name in which)]
    left = tuple(_left(each) for each in chosen)
    removed = [each.signature for each in chosen if remove and each.remove()]
    return Attempts(left, tuple(removed))


def _is_named(each: Leftover, name: str) -> bool:
    return each.signature.startswith(name) or name in (each.stage, each.stage.rpartition(":")[2])


def _left(each: Leftover) -> Left:
    since = datetime.fromtimestamp(each.since).astimezone()
    return Left(
        each.stage, each.signature, each.run_id, since, each.size_bytes(), runs=each.is_held()
    )
