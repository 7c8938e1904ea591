"""What changed between two things, as values."""

from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from lineage.answer import Answer
from lineage.join.graph import DataNode, ExecutionNode

T = TypeVar("T")


@dataclass(frozen=True)
class Side(Answer):
    """One of the two things.

    Attributes:
        ref: As it was asked for.
        meaning: What that is, in words.
        commit: The commit that it is, or that was checked out when it was made;
            ``workspace`` for the working tree, empty where unknown.
        dirty: Whether the code that made it differed from the commit.
    """

    ref: str
    meaning: str
    commit: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class Change(Answer, Generic[T]):
    """A value that is not the same on both sides.

    Attributes:
        stage: Whose, with the pipeline file unless that is ``dvc.yaml`` at the root. Empty
            for the evaluation of the model versions that are compared.
        name: A path, a dotted param, a metric, or ``cmd``.
        before: None where the first side has none.
        after: None where the second side has none.
    """

    stage: str
    name: str
    before: T | None
    after: T | None


@dataclass(frozen=True)
class StageChange(Answer):
    """A stage with another execution on each side, or that only one side has.

    Attributes:
        stage: Its name, with the pipeline file unless that is ``dvc.yaml`` at the root.
        before: None where only the second side has it.
        after: None where only the first side has it.
    """

    stage: str
    before: ExecutionNode | None
    after: ExecutionNode | None

    def as_dict(self, *_names: str) -> dict[str, Any]:
        """As JSON has it, without what the two read and wrote."""
        names = ("id", "signature=execution.signature", "status", "run=run_id")
        before, after = (each and each.as_dict(*names) for each in (self.before, self.after))
        return {"stage": self.stage, "before": before, "after": after}


@dataclass(frozen=True)
class DataChange(Answer):
    """A path with other bytes on each side, or that only one side has.

    Attributes:
        path: Relative to the root of the git repository.
        kind: ``dataset``, ``model`` or ``report``.
        before: None where it was added.
        after: None where it was removed.
    """

    path: str
    kind: str
    before: DataNode | None
    after: DataNode | None

    def as_dict(self, *_names: str) -> dict[str, Any]:
        """As JSON has it."""
        names = ("hash", "files", "bytes=size_bytes")
        before, after = (each and each.as_dict(*names) for each in (self.before, self.after))
        return {"path": self.path, "kind": self.kind, "before": before, "after": after}


@dataclass(frozen=True)
class Difference(Answer):
    """What changed from A to B.

    Attributes:
        a: The first thing.
        b: The second one.
        stages: Whatever ran differently, and what only one side has.
        code: Dependencies that git keeps, by their hashes, of stages that both sides have.
        files: Names of all files that differ between the commits of both sides, of whatever
            use; None where one of the commits is not known here.
        commands: Of stages that both sides have.
        params: Declared ones, as text, of stages that both sides have.
        data: What the two are, what they were made of, and what they wrote.
        metrics: Of runs, and of the evaluation of model versions. Compared exactly.
        warnings: Sentences about what the answer cannot know.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "a",
        "b",
        "equal=is_equal",
        "stages",
        "code",
        "files",
        "commands",
        "params",
        "data",
        "metrics",
        "warnings",
    )

    a: Side
    b: Side
    stages: tuple[StageChange, ...] = ()
    code: tuple[Change[str], ...] = ()
    files: tuple[str, ...] | None = None
    commands: tuple[Change[str], ...] = ()
    params: tuple[Change[str], ...] = ()
    data: tuple[DataChange, ...] = ()
    metrics: tuple[Change[float], ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether both were made in the same way of the same bytes, with the same metrics.

        Files that no stage declares may differ.
        """
        changes = (self.stages, self.code, self.commands, self.params, self.data, self.metrics)
        return not any(changes)
