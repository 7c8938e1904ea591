"""When something was said of a model version: the newest revision has the last word.

Registrations come in any order: a stage runs, somebody syncs an old revision, another clone a
newer one. A version therefore says at which revision its verdict and each of its evaluations were
said, and what an older one says does not replace it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lineage.errors import LineageError
from lineage.identity import canonical_json
from lineage.places import is_file
from lineage.project import Project
from lineage.recording.decision import LABEL, Registration
from lineage.repository.commits import Commit
from lineage.repository.snapshot import Snapshot
from lineage.tracking import outside
from lineage.tracking.tags import SAID, VERDICT, is_evaluation

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Saying:
    """A moment in the history of a repository.

    Attributes:
        time: When it was said: that of the commit, or now for the working tree.
        commit: The commit's id; empty for what is in the working tree only.
    """

    time: datetime
    commit: str = ""


def of_recorded(project: Project, digest: str, commit: Commit) -> Saying:
    """When what a registration file says was said last.

    Args:
        project: The repository.
        digest: The DVC hash of the file.
        commit: A revision that records it; the working tree says something new, unless the
            checked-out commit records the same.
    """
    history = project.history
    head = history.snapshot_of_head
    if not commit.id and (head is None or digest not in _registrations(head)):
        return Saying(datetime.now(UTC))
    places = history.commits.places
    holding = [
        each
        for each in history.containing(digest)
        if each.id in places and digest in _registrations(history.snapshot(each))
    ]
    newest = min(holding, key=lambda each: places[each.id], default=commit)
    return Saying(newest.time, newest.id)


def of_working_tree(project: Project, registration: Registration) -> Saying:
    """When a registration was said last that a stage has made here, and perhaps not yet written."""
    present = project.history.commits.present
    for item in project.history.snapshot(present).data:
        if LABEL in item.labels and is_file(item.location):
            try:
                written = Registration.read(item.location)
            except LineageError:
                continue  # of an earlier attempt, or another model's; this one is in hand
            if written == registration:
                text = item.location.read_bytes()
                digest = hashlib.md5(text, usedforsecurity=False).hexdigest()
                return of_recorded(project, digest, present)
    return Saying(datetime.now(UTC))


def is_newest(project: Project, one: Saying, other: Saying | None) -> bool:
    """Whether nothing newer was said than this."""
    if other is None or not one.commit:
        return True
    places = project.history.commits.places
    if one.commit in places and other.commit in places:
        return places[one.commit] <= places[other.commit]
    return one.time >= other.time


def of_version(project: Project, version: "ModelVersion") -> dict[str, Saying]:
    """Name of a tag -> when it was said; where a version does not say, when it was made."""
    made = Saying(datetime.fromtimestamp(version.creation_timestamp / 1000, UTC))
    nothing: dict[str, tuple[datetime, str]] = {}
    recorded = project.passed.checked(
        outside.said,
        version.tags.get(SAID, "{}"),
        f"models:/{version.name}/{version.version}",
        f"its tag {SAID}",
        nothing,
    )
    return {
        name: Saying(*recorded[name]) if name in recorded else made
        for name in version.tags
        if name == VERDICT or is_evaluation(name)
    }


def as_tag(said: Mapping[str, Saying]) -> str:
    """What `of_version` reads."""
    return canonical_json({tag: [each.time.isoformat(), each.commit] for tag, each in said.items()})


def _registrations(snapshot: Snapshot) -> set[str]:
    """The hashes of the registrations that a revision records."""
    return {item.hash for item in snapshot.data if LABEL in item.labels}
