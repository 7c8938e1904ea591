"""What was made of what: data, the executions that made it, the models it ended in.

A value, computed from git, DVC and MLflow by the verbs `trace` and `impact`; what is shown of
it, and in which form, is for others to say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from lineage.answer import Answer
from lineage.identity import DataId, Execution
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status


@dataclass(frozen=True)
class DataNode(Answer):
    """Bytes at a path: a dataset version, a model's files, a report.

    Attributes:
        path: Relative to the root of the git repository.
        hash: The DVC hash, with ``.dir`` for a folder.
        kind: ``dataset``, ``model``, ``report`` or ``code``.
        size_bytes: Of all its files together; None where nothing recorded it.
        files: How many files it is; None where nothing recorded it.
        revisions: Names of the git revisions that record it, or the commit that did first.
        others: How many executions made the same bytes, beside the one that is shown.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "id",
        "type",
        "path",
        "hash",
        "kind",
        "bytes=size_bytes",
        "files",
        "revisions",
        "other_executions=others",
    )
    type: ClassVar[str] = "data"

    path: str
    hash: str
    kind: str
    size_bytes: int | None = None
    files: int | None = None
    revisions: tuple[str, ...] = ()
    others: int = 0

    @property
    def data(self) -> DataId:
        """The bytes at the path."""
        return DataId(self.path, self.hash)

    @property
    def id(self) -> str:
        """Unique in a graph."""
        return str(self.data)


@dataclass(frozen=True)
class ExecutionNode(Answer):
    """One outcome of a stage.

    Attributes:
        execution: Its identity, with the hashes of all that it read and wrote.
        status: How sure the link to MLflow is; None for a run that did not finish.
        run: The run that made it; None where the store has none.
        confirmations: Later runs that came to the same bytes.
        revisions: Names of the git revisions whose lock holds it, or the first commit;
            empty where MLflow alone knows of it.
        command: With templates filled in; empty where only MLflow knows of it.
        params: Dotted name -> text of the declared params.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "id",
        "type",
        "stage=execution.stage.name",
        "pipeline=execution.stage.pipeline",
        "signature=execution.signature",
        "status",
        "deps=execution.deps",
        "outs=execution.outs",
        "command",
        "params",
        "revisions",
        "run",
        "confirmations",
    )
    type: ClassVar[str] = "execution"

    execution: Execution
    status: Status | None = None
    run: RunFacts | None = None
    confirmations: tuple[RunFacts, ...] = ()
    revisions: tuple[str, ...] = ()
    command: str | list[str] = ""
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Unique in a graph."""
        return execution_id(self.execution)

    @property
    def run_id(self) -> str | None:
        """The id of the run that made it; None where the store has none."""
        return self.run.id if self.run else None


@dataclass(frozen=True)
class OriginNode(Answer):
    """Where bytes came from that no stage made: an archive, a folder, a Hub, ``dvc add``.

    Attributes:
        name: What it is called there.
        url: Where it is, without credentials.
        checksum: What determines its bytes, such as ``md5:…``; may be empty.
        size_bytes: How many were taken; None where nothing recorded it.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "id",
        "type",
        "name",
        "url",
        "checksum",
        "bytes=size_bytes",
    )
    type: ClassVar[str] = "origin"

    name: str
    url: str
    checksum: str = ""
    size_bytes: int | None = None

    @property
    def id(self) -> str:
        """Unique in a graph."""
        return f"{self.url}#{self.name}@{self.checksum}"


Node = DataNode | ExecutionNode | VersionNode | OriginNode


class Edge(NamedTuple):
    """The ids of two nodes of a graph: the second was made of, or by, the first."""

    source: str
    target: str


def execution_id(execution: Execution) -> str:
    """The id of an execution's node."""
    return f"{execution.stage}#{execution.signature[:12]}>{execution.outs_digest}"


@dataclass(frozen=True)
class Graph(Answer):
    """Nodes, and what flowed from one to another.

    Attributes:
        roots: Ids of what was asked for.
        nodes: Id -> node, in the order in which they were found.
        edges: What was made of what.
        warnings: Sentences about what this answer cannot know.
    """

    roots: tuple[str, ...]
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    warnings: tuple[str, ...] = ()

    def upstream(self, node: str) -> list[str]:
        """Ids of what the node was made of."""
        return self._sources.get(node, [])

    def downstream(self, node: str) -> list[str]:
        """Ids of what was made of the node."""
        return self._targets.get(node, [])

    def as_dict(self, *_names: str) -> dict[str, Any]:
        """As JSON has it: nodes and edges as lists."""
        return {
            "roots": list(self.roots),
            "nodes": [node.as_dict() for node in self.nodes.values()],
            "edges": [{"from": source, "to": target} for source, target in self.edges],
            "warnings": list(self.warnings),
        }

    @cached_property
    def _sources(self) -> dict[str, list[str]]:
        sources: dict[str, list[str]] = {}
        for source, target in self.edges:
            sources.setdefault(target, []).append(source)
        return sources

    @cached_property
    def _targets(self) -> dict[str, list[str]]:
        targets: dict[str, list[str]] = {}
        for source, target in self.edges:
            targets.setdefault(source, []).append(target)
        return targets


class GraphBuilder:
    """Gathers nodes and edges, each once."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: dict[Edge, None] = {}
        self._made: set[str] = set()
        self.warnings: dict[str, None] = {}

    def add(self, node: Node) -> str:
        """Add a node unless it is there; returns its id."""
        self.nodes.setdefault(node.id, node)
        return node.id

    def link(self, source: str, target: str) -> None:
        """Say that the target was made of the source."""
        self.edges.setdefault(Edge(source, target))
        self._made.add(target)

    def has_source(self, node: str) -> bool:
        """Whether something is known that the node was made of."""
        return node in self._made

    def warn(self, sentence: str) -> None:
        """Say what the answer cannot know."""
        self.warnings.setdefault(sentence)

    def graph(self, roots: Iterable[str]) -> Graph:
        """The finished value."""
        return Graph(tuple(roots), self.nodes, tuple(self.edges), tuple(self.warnings))
