"""A place where the record is not whole, and what one check came to."""

from dataclasses import dataclass
from enum import StrEnum

from lineage.answer import Answer
from lineage.tracking.producer import Status


class Check(StrEnum):
    """What is wrong."""

    NOT_RUN = "not run"
    """``dvc.yaml`` has a stage of which ``dvc.lock`` has no entry."""

    UNRECORDED = Status.UNRECORDED.value
    ACCEPTED = Status.ACCEPTED.value
    CHANGED = Status.CHANGED.value

    RUN_GONE = "run gone"
    """The run that made a model version is deleted, or not in this store at all."""

    DATA_LOST = "data lost"
    """What a model version was made of, or its files, are in neither cache nor remote."""

    DAMAGED = "damaged"
    """An object of the cache or of a remote holds other bytes than its name says, or a listing
    names what may not be taken."""

    DIFFERS = "differs from the lock"
    """The working tree is not what ``dvc.lock`` and the ``.dvc`` files record."""

    UNREACHABLE = "commit unreachable"
    """No branch, tag or experiment reaches a commit that a run names."""

    SHALLOW = "shallow clone"
    """Commits are missing here, so that nobody can say whether they are lost."""

    MOVED = "moved by hand"
    """An alias is on another version than the last promotion of it says."""

    UNREADABLE = "unreadable"
    """A DVC file of a revision cannot be read."""


@dataclass(frozen=True)
class Break(Answer):
    """A place where the record is not whole.

    Attributes:
        check: What is wrong.
        subject: Of what: a stage, a model version, ``path@hash``, a path, a commit.
        sentence: What, where, and what to do about it.
    """

    check: Check
    subject: str
    sentence: str


@dataclass(frozen=True)
class Found:
    """What one check came to."""

    breaks: tuple[Break, ...] = ()
    skipped: tuple[str, ...] = ()
