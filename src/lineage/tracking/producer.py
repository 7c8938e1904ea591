"""From a lock entry to the run that made it, and never to the nearest match."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lineage.identity import Execution, StageId
from lineage.repository.whose import Whose
from lineage.tracking.tag_values import hashes_tag
from lineage.tracking.tags import (
    BACKFILLED,
    CHANGED,
    OUTS,
    PIPELINE,
    SIGNATURE,
    SIGNATURE_AFTER,
    STAGE,
)

if TYPE_CHECKING:
    from mlflow.entities import Run


class Status(StrEnum):
    """How sure the link from a lock entry to MLflow is."""

    RECORDED = "recorded"
    """A finished run has this signature and these outputs."""

    CHANGED = "changed while running"
    """The run that wrote these outputs read other dependencies than the lock says: one changed
    under the stage, or after it had recorded what it read, while its command went on."""

    ACCEPTED = "accepted"
    """Runs with this signature have other outputs: somebody used ``dvc commit``, or a stage
    that is not deterministic ran against another store."""

    UNRECORDED = "unrecorded"
    """This store never saw it."""


@dataclass(frozen=True)
class Resolution:
    """The answer.

    Attributes:
        status: How sure it is.
        producer: The oldest matching run; None unless recorded or changed while running.
        confirmations: Later runs that came to the same bytes.
    """

    status: Status
    producer: "Run | None" = None
    confirmations: "tuple[Run, ...]" = ()


def find_producer(
    execution: Execution,
    search: "Callable[[str], Iterable[Run]]",
    whose: "Callable[[Run], Whose]",
    strays: "Callable[[], Iterable[Run]]" = tuple,
    earlier_name: "Callable[[Run], bool]" = lambda _run: False,
) -> Resolution:
    """Tell which of the runs with an execution's signature made it.

    Args:
        execution: Of a lock entry.
        search: From the name of a tag to the runs where it is the execution's signature.
        whose: Whose a run is. Those of this repository come first; a stranger's does not count,
            whose stage and data are like these by chance.
        strays: Runs with one of the execution's outputs of which no lock holds what they read.
            Asked for only where no run has its signature.
        earlier_name: Whether a run, of a stage of another name, made it before that was renamed.
            Asked of runs with its signature, where none is of its own stage.
    """
    outs = hashes_tag(execution.outs)

    def finished(runs: "Iterable[Run]", is_its: "Callable[[Run], bool]") -> "list[Run]":
        """Those of the execution's stage, of this repository first, the oldest first."""
        its = [
            run
            for run in runs
            if run.info.status == "FINISHED" and is_its(run) and whose(run) is not Whose.STRANGERS
        ]
        return sorted(its, key=lambda run: (whose(run), run.info.start_time, run.info.run_id))

    def is_own(run: "Run") -> bool:
        # Compared here, since names may hold quotes, which MLflow's filters cannot write.
        return stage_of(run) == execution.stage

    signed = list(search(SIGNATURE))
    seen = finished(signed, is_own)
    matching = [run for run in seen if _wrote(run) == outs]
    # What a run read differs from what the lock says when a file changed meanwhile.
    sound = [run for run in matching if is_sound(run)]
    sound = sound or [
        run for run in finished(() if seen else signed, earlier_name) if is_sound(run)
    ]
    if sound:
        return Resolution(Status.RECORDED, sound[0], tuple(sound[1:]))
    changed = matching or [
        run for run in finished(search(SIGNATURE_AFTER), is_own) if _wrote(run) == outs
    ]
    if changed:
        return Resolution(Status.CHANGED, changed[0], tuple(changed[1:]))
    # What was written down later than it ran says nothing of how this lock came about.
    if any(BACKFILLED not in run.data.tags for run in seen):
        return Resolution(Status.ACCEPTED)
    late = (
        [run for run in finished(strays(), is_own) if _is_late(run, outs)] if execution.outs else []
    )
    if late:
        return Resolution(Status.CHANGED, late[0], tuple(late[1:]))
    return Resolution(Status.UNRECORDED)


def is_sound(run: "Run") -> bool:
    """Whether a run read what it says, since nothing changed under it."""
    return CHANGED not in run.data.tags


def stage_of(run: "Run") -> StageId:
    """The stage that a run says it is of."""
    return StageId(run.data.tags.get(PIPELINE, "dvc.yaml"), run.data.tags.get(STAGE, ""))


def _wrote(run: "Run") -> str:
    """The hashes of its outputs; a stage that declares none has no tag."""
    return str(run.data.tags.get(OUTS, "{}"))


def _is_late(run: "Run", outs: str) -> bool:
    """Whether a run, whose signature is another one, may have left a lock with these outputs."""
    return _wrote(run) == outs and BACKFILLED not in run.data.tags
