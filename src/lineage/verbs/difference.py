"""What changed between two things, as values."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from lineage.join.graph import DataNode, ExecutionNode

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Change(Generic[T]):
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no infinity and no NaN: they are text."""
        return {
            "stage": self.stage,
            "name": self.name,
            "before": _json(self.before),
            "after": _json(self.after),
        }


@dataclass(frozen=True)
class StageChange:
    """A stage with another execution on each side, or that only one side has.

    Attributes:
        stage: Its name, with the pipeline file unless that is ``dvc.yaml`` at the root.
        before: None where only the second side has it.
        after: None where only the first side has it.
    """

    stage: str
    before: ExecutionNode | None
    after: ExecutionNode | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "stage": self.stage,
            "before": _execution(self.before),
            "after": _execution(self.after),
        }


@dataclass(frozen=True)
class DataChange:
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "path": self.path,
            "kind": self.kind,
            "before": _bytes(self.before),
            "after": _bytes(self.after),
        }


@dataclass(frozen=True)
class Difference:
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "a": self.a.as_dict(),
            "b": self.b.as_dict(),
            "equal": self.is_equal,
            "stages": [change.as_dict() for change in self.stages],
            "code": [change.as_dict() for change in self.code],
            "files": None if self.files is None else list(self.files),
            "commands": [change.as_dict() for change in self.commands],
            "params": [change.as_dict() for change in self.params],
            "data": [change.as_dict() for change in self.data],
            "metrics": [change.as_dict() for change in self.metrics],
            "warnings": list(self.warnings),
        }


# As JSON.


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _execution(node: ExecutionNode | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {
        "id": node.id,
        "signature": node.execution.signature,
        "status": node.status.value if node.status else None,
        "run": node.run.id if node.run else None,
    }


def _bytes(node: DataNode | None) -> dict[str, Any] | None:
    if node is None:
        return None
    return {"hash": node.hash, "files": node.files, "bytes": node.size_bytes}
