"""What became of each stage of a revision, and which model versions it led to."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lineage.join.graph import DataNode, ExecutionNode, execution_id
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.repository.history import History
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status
from lineage.verbs.diff_sides import Traced, recorded
from lineage.verbs.report_base import reached


class Outcome(StrEnum):
    """What became of a stage."""

    RAN = "ran"
    UNCHANGED = "unchanged"
    REUSED = "reused"
    MADE = "made"
    """By some run: with nothing to compare with, nobody can say whether it was for this."""

    BACKFILLED = "backfilled"
    ACCEPTED = "accepted"
    UNRECORDED = "unrecorded"


@dataclass(frozen=True)
class StageOutcome:
    """An execution that the revision's lock holds.

    Attributes:
        node: The execution.
        outcome: What became of it.
        run: The run that tells so; None where the store has none.
    """

    node: ExecutionNode
    outcome: Outcome
    run: RunFacts | None = None


@dataclass(frozen=True)
class Registered:
    """A model version, and the node of what it is made of."""

    source: str
    version: VersionNode


@dataclass(frozen=True)
class Past:
    """What was there before the revision.

    Attributes:
        history: What all revisions record.
        base: What the revision is compared with, if anything is known.
        since: When the work on the revision began, if that is known.
        locked: Ids of the executions in the lock of the base.
        before: Ids of the commits that the base reaches.
        own: Ids of the commits that only the revision reaches.
    """

    history: History
    base: Commit | None
    since: datetime | None
    locked: frozenset[str]
    before: frozenset[str]
    own: frozenset[str]

    @classmethod
    def of(
        cls, history: History, commit: Commit, base: Commit | None, since: datetime | None
    ) -> "Past":
        """What was there before a revision that is compared with a base."""
        stages = history.snapshot(base).stages if base else ()
        locked = frozenset(execution_id(stage.execution) for stage in stages)
        before = reached(history, base) if base else frozenset()
        return cls(history, base, since, locked, before, reached(history, commit) - before)

    @property
    def is_known(self) -> bool:
        """Whether anything can be told from it."""
        return self.base is not None or self.since is not None

    def is_later(self, node: ExecutionNode, run: RunFacts) -> bool:
        """Whether this run of an execution came later, for the revision."""
        if self.since is not None:
            return run.started >= self.since
        if self.base is None or node.id in self.locked:
            return False
        at = self.history.commits.find(run.commit) if run.commit else None
        if at is None:
            return run.started >= self.base.time
        if at.id in self.before:
            return at.id == self.base.id
        # A commit that was rebased away belonged to this, one of another branch did not.
        return at.id in self.own or not self.history.commits.reaches(at.id)


def outcomes(now: Traced, past: Past) -> list[StageOutcome]:
    """Every execution that the revision's lock holds, and what became of it."""
    nodes = [now.graph.nodes[root] for root in now.graph.roots]
    return [_stage(node, past) for node in nodes if isinstance(node, ExecutionNode)]


def _stage(node: ExecutionNode, past: Past) -> StageOutcome:
    if node.run is None:
        is_accepted = node.status is Status.ACCEPTED
        return StageOutcome(node, Outcome.ACCEPTED if is_accepted else Outcome.UNRECORDED)
    runs = [run for run in (node.run, *node.confirmations) if not run.backfilled]
    new = [run for run in runs if past.is_later(node, run)]
    if new:
        return StageOutcome(node, Outcome.RAN, new[0])
    if node.id in past.locked:
        return StageOutcome(node, Outcome.UNCHANGED, (runs or [node.run])[0])
    if not runs:
        return StageOutcome(node, Outcome.BACKFILLED, node.run)
    return StageOutcome(node, Outcome.REUSED if past.is_known else Outcome.MADE, runs[0])


def registered_in(project: Project, now: Traced) -> list[Registered]:
    """The model versions that the revision's models are registered as."""
    registry = project.registry
    found = [
        Registered(node.id, version)
        for node in models_in(now)
        for version in registry.made_of(node.hash)
    ]
    for root in now.graph.roots:
        node = now.graph.nodes[root]
        if isinstance(node, ExecutionNode) and node.run:
            found += [Registered(root, version) for version in registry.of_run(node.run.id)]
    return found


def models_in(now: Traced) -> list[DataNode]:
    """The models that the revision records."""
    nodes = [now.graph.nodes[key] for key in recorded(now.graph)]
    data = [node for node in nodes if isinstance(node, DataNode)]
    return [node for node in data if node.kind == "model" and node.hash]
