"""Bring a tracking store up to what the lock says."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from filelock import FileLock

from lineage.answer import Answer
from lineage.project import Project
from lineage.recording.backfill import Ensured, ensure_recorded_model, ensure_run
from lineage.recording.decision import LABEL, Registration
from lineage.recording.registration import register
from lineage.recording.sayings import of_recorded
from lineage.recording.spooling import send_waiting
from lineage.repository.commits import Commit
from lineage.repository.items import Item
from lineage.storage.borrow import exact
from lineage.tracking.tags import VERDICT


@dataclass(frozen=True)
class SyncedVersion(Answer):
    """A model version that exists now, as ``models:/name/version``, with the last verdict on it."""

    id: str
    verdict: str


@dataclass(frozen=True)
class Synced(Answer):
    """What `sync` found missing and made.

    Attributes:
        runs: Stages that got a backfilled run.
        accepted: Stages whose outputs no run made: somebody used ``dvc commit``.
        versions: Model versions that exist now.
        warnings: Sentences about what could not be written down.
        sent: Records of stages that had waited for the store.
    """

    runs: tuple[str, ...]
    accepted: tuple[str, ...]
    versions: tuple[SyncedVersion, ...]
    warnings: tuple[str, ...] = ()
    sent: int = 0


def sync(project: Project, rev: str | None = None) -> Synced:
    """Make sure that runs, models, versions and aliases of a lock exist in the store.

    Sends what stages recorded while the store was away. Adds only what is missing, so that a second
    call adds nothing.

    Args:
        project: Whose store, and whose lock.
        rev: A git revision; the working tree by default. What a newer one says of a version, its
            verdict among it, stays; and so does a newer one's candidate.

    Raises:
        LineageError: If there is no such revision; if a registration or a model is in neither
            workspace, cache nor remote.
    """
    # Two at once would each find the same runs missing.
    with FileLock(project.workspace.home / ".dvc" / "tmp" / "lineage-sync.lock"):
        sent = send_waiting(project)
        project.forget_store()
        return _sync(project, rev, sent)


def _sync(project: Project, rev: str | None, sent: int) -> Synced:
    history = project.history
    commit = history.commits.present if rev is None else history.commits.named(rev)
    stages = history.snapshot(commit).stages
    ensured = {str(stage.execution.stage): ensure_run(project, stage) for stage in stages}
    outs = [item for stage in stages for item in stage.outs]
    for item in outs:
        if item.kind == "model":
            ensure_recorded_model(project, item.id)
    return Synced(
        runs=tuple(stage for stage, each in ensured.items() if each.is_new),
        accepted=tuple(stage for stage, each in ensured.items() if each.run is None),
        versions=tuple(_registered(project, outs, commit)),
        warnings=(*_cut(ensured), *project.skipped),
        sent=sent,
    )


def _cut(ensured: Mapping[str, Ensured]) -> list[str]:
    """A sentence for each run whose commit may be an older one than is here."""
    return [
        f"the commit that {stage} ran for is not written down, since this clone is shallow and"
        " it may be an older one: `git fetch --unshallow` before `lineage sync` brings it."
        for stage, each in ensured.items()
        if each.is_cut
    ]


def _registered(project: Project, outs: Iterable[Item], commit: Commit) -> Iterator[SyncedVersion]:
    """Make sure of the model versions that outputs of the pipeline speak of."""
    for item in outs:
        if LABEL in item.labels:
            with exact(project.workspace, item.id) as path:
                registration = Registration.read(path)
            said = of_recorded(project, item.hash, commit)
            version = register(project, registration, said=said)
            verdict = version.tags.get(VERDICT, registration.verdict)
            yield SyncedVersion(f"models:/{version.name}/{version.version}", verdict)
