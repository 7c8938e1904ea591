"""What changed between two things, and in all that they were made of."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from typing import Any, Generic, TypeVar

from lineage.errors import LineageError
from lineage.graph import (
    DataNode,
    ExecutionNode,
    Graph,
    GraphBuilder,
    RunFacts,
    VersionNode,
    execution_id,
)
from lineage.history import WORKSPACE, Commit
from lineage.identity import StageId
from lineage.knowledge import Knowledge
from lineage.project import Project
from lineage.reference import Execution, Revision, Subject, resolve
from lineage.runs import NO_PIPELINE, facts_of
from lineage.trace import upstream

T = TypeVar("T")
N = TypeVar("N", DataNode, ExecutionNode)


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


@dataclass(frozen=True)
class Traced:
    """A thing with all that is upstream of it, and what its executions wrote."""

    side: Side
    subject: Subject
    graph: Graph


def diff(project: Project, a: str, b: str) -> Difference:
    """What changed between two REFs; ``workspace`` is the working tree.

    Of a revision that is compared with something else, only that part counts that the other
    thing corresponds to: ``diff(project, "models:/detector@champion", "HEAD")`` compares two
    models.

    Raises:
        LineageError: If a REF means nothing, or more than one thing, or if the two have
            nothing in common.
    """
    before, after = (traced(project, ref, _subject(project, ref)) for ref in (a, b))
    revisions = [isinstance(each.subject, Revision) for each in (before, after)]
    if revisions == [True, False]:
        before = replace(before, graph=_part(before.graph, after.graph))
    if revisions == [False, True]:
        after = replace(after, graph=_part(after.graph, before.graph))
    if not all(revisions) and _names(before.graph).isdisjoint(_names(after.graph)):
        raise LineageError(
            f"{before.side.meaning} and {after.side.meaning} have no stage and no path of data in"
            " common: compare two versions of one thing."
        )
    return compare(project, before, after)


def traced(project: Project, ref: str, subject: Subject) -> Traced:
    """Everything upstream of a thing, together with all that its executions wrote."""
    graph = _with_outputs(project, _upstream(project, subject))
    if isinstance(subject, Revision):
        commit = subject.commit
        meaning = str(subject) if commit.id else "the working tree"
        graph = _as_recorded(project, graph, commit)
        return Traced(Side(ref, meaning, commit.id or WORKSPACE), subject, graph)
    run = _run(graph)
    side = Side(ref, str(subject), run.commit, run.dirty) if run else Side(ref, str(subject))
    return Traced(side, subject, graph)


def recorded(graph: Graph) -> list[str]:
    """Ids of what was asked for, and of what was made of that at once."""
    made = [node for root in graph.roots for node in graph.downstream(root)]
    return list(dict.fromkeys([*graph.roots, *made]))


def compare(project: Project, before: Traced, after: Traced) -> Difference:
    """What changed from the one to the other."""
    stages = list(_paired(_executions(before.graph), _executions(after.graph)))
    both = [(one, other) for one, other in stages if one and other]
    changed = [(one, other) for one, other in both if one.id != other.id]
    measured = [pair for pair in stages if all(map(_is_measured, pair))]
    data = _paired(_data(before.graph), _data(after.graph))
    evaluated, doubts = _evaluations(project, before, after)
    files, unknown = _files(project, before.side, after.side)
    difference = Difference(
        before.side,
        after.side,
        stages=tuple(
            StageChange(_stage(one or other), one, other)
            for one, other in stages
            if one is None or other is None or one.id != other.id
        ),
        code=_of_each(
            changed, lambda one, other: (_code(before.graph, one), _code(after.graph, other))
        ),
        files=files,
        commands=_of_each(changed, _commands),
        params=_of_each(changed, lambda one, other: (one.params, other.params)),
        data=tuple(
            DataChange(known.path, known.kind, one, other)
            for one, other in data
            if (known := other or one) and (one is None or other is None or one.id != other.id)
        ),
        metrics=evaluated + _of_each(measured, lambda one, other: (_metrics(one), _metrics(other))),
    )
    warnings = [
        *before.graph.warnings,
        *after.graph.warnings,
        *doubts,
        *unknown,
        *_unmeasured(before.side, after.side, both),
        *_unexplained(difference, changed),
    ]
    return replace(difference, warnings=tuple(dict.fromkeys(warnings)))


# What is upstream.


def _subject(project: Project, ref: str) -> Subject:
    if ref == WORKSPACE and project.history.find(ref) is None:
        return Revision(ref, project.history.present)
    return resolve(project, ref)


def _upstream(project: Project, subject: Subject) -> Graph:
    graph = upstream(project, subject)
    if not isinstance(subject, Execution):
        return graph
    # Of several runs that came to the same bytes, this one was asked for.
    asked = facts_of(subject.run)
    nodes = {
        root: replace(node, run=asked)
        for root in graph.roots
        if isinstance(node := graph.nodes[root], ExecutionNode)
    }
    return replace(graph, nodes={**graph.nodes, **nodes})


def _as_recorded(project: Project, graph: Graph, commit: Commit) -> Graph:
    """Without older bytes, which a stage read that was not run again when they changed."""
    snapshot = project.history.snapshot(commit)
    executions = {execution_id(stage.execution) for stage in snapshot.stages}
    present = {item.path: item.hash for item in snapshot.data}
    nodes = {
        key: node
        for key, node in graph.nodes.items()
        if (not isinstance(node, ExecutionNode) or key in executions)
        and (not isinstance(node, DataNode) or present.get(node.path, node.hash) == node.hash)
    }
    edges = tuple(edge for edge in graph.edges if nodes.keys() >= set(edge))
    return replace(graph, nodes=nodes, edges=edges)


def _with_outputs(project: Project, graph: Graph) -> Graph:
    """The graph with what the executions that were asked for wrote."""
    builder = GraphBuilder()
    _take_up(builder, graph)
    knowledge = Knowledge(project)
    for root in graph.roots:
        node = graph.nodes[root]
        if isinstance(node, ExecutionNode):
            for path, digest in node.execution.outs.items():
                if f"{path}@{digest}" not in builder.nodes:
                    builder.add(knowledge.data(path, digest))
                builder.link(root, f"{path}@{digest}")
    return builder.graph(graph.roots)


def _take_up(builder: GraphBuilder, graph: Graph) -> None:
    for node in graph.nodes.values():
        builder.add(node)
    for source, target in graph.edges:
        builder.link(source, target)
    for warning in graph.warnings:
        builder.warn(warning)


def _run(graph: Graph) -> RunFacts | None:
    """The run that made the first thing that was asked for."""
    waiting = list(graph.roots[:1])
    while waiting:
        node = graph.nodes[waiting[0]]
        if isinstance(node, ExecutionNode):
            return node.run
        waiting = graph.upstream(waiting[0])
    return None


def _part(whole: Graph, like: Graph) -> Graph:
    """That part of a revision's graph which is what the other graph is of, and its upstream."""
    wanted = {name for root in like.roots for name in _called(like, root)}
    roots = [each for each in recorded(whole) if wanted & _called(whole, each)]
    return _of_roots(replace(whole, roots=tuple(roots)))


def _of_roots(graph: Graph) -> Graph:
    """Only the roots of a graph, and what is upstream of them."""
    kept: set[str] = set()
    waiting = list(graph.roots)
    while waiting:
        node = waiting.pop()
        if node not in kept:
            kept.add(node)
            waiting += graph.upstream(node)
    return replace(
        graph,
        nodes={key: node for key, node in graph.nodes.items() if key in kept},
        edges=tuple(edge for edge in graph.edges if kept >= set(edge)),
    )


def _called(graph: Graph, key: str) -> set[StageId | str]:
    """What a node is called in every version: its stage or its path; of a model, its files."""
    node = graph.nodes[key]
    match node:
        case ExecutionNode():
            return {node.execution.stage}
        case DataNode():
            return {node.path}
        case VersionNode():
            return {name for source in graph.upstream(key) for name in _called(graph, source)}
        case _:
            return set()


def _names(graph: Graph) -> set[StageId | str]:
    return {name for key in graph.nodes for name in _called(graph, key)}


# What differs.


def _executions(graph: Graph) -> dict[StageId, list[ExecutionNode]]:
    found: dict[StageId, list[ExecutionNode]] = {}
    for key in _roots_first(graph):
        node = graph.nodes[key]
        if isinstance(node, ExecutionNode):
            found.setdefault(node.execution.stage, []).append(node)
    return found


def _data(graph: Graph) -> dict[str, list[DataNode]]:
    found: dict[str, list[DataNode]] = {}
    for key in _roots_first(graph):
        node = graph.nodes[key]
        if isinstance(node, DataNode):
            found.setdefault(node.path, []).append(node)
    return found


def _roots_first(graph: Graph) -> dict[str, None]:
    """All nodes, in an order in which those of the thing itself come before older ones."""
    return dict.fromkeys([*recorded(graph), *graph.nodes])


def _paired(
    before: Mapping[Any, list[N]], after: Mapping[Any, list[N]]
) -> Iterator[tuple[N | None, N | None]]:
    """What has one name on both sides: first what is the same, then in order what is not.

    A side has several of one name where a stage was not run again after what it reads.
    """
    for name in dict.fromkeys([*before, *after]):
        old = {node.id: node for node in before.get(name, [])}
        new = {node.id: node for node in after.get(name, [])}
        yield from ((old[key], new[key]) for key in old if key in new)
        yield from zip_longest(
            (node for key, node in old.items() if key not in new),
            (node for key, node in new.items() if key not in old),
        )


def _of_each(
    pairs: Iterable[tuple[Any, Any]],
    values: Callable[[Any, Any], tuple[Mapping[str, T], Mapping[str, T]]],
) -> tuple[Change[T], ...]:
    return tuple(
        change
        for one, other in pairs
        for change in _changes(_stage(one or other), *values(one, other))
    )


def _changes(stage: str, before: Mapping[str, T], after: Mapping[str, T]) -> Iterator[Change[T]]:
    for name in sorted({*before, *after}):
        one, other = before.get(name), after.get(name)
        is_nan_twice = one != one and other != other
        if one != other and not is_nan_twice:
            yield Change(stage, name, one, other)


def _stage(node: ExecutionNode | None) -> str:
    return str(node.execution.stage) if node else ""


def _code(graph: Graph, node: ExecutionNode) -> dict[str, str]:
    data = set(graph.upstream(node.id))
    return {
        path: digest
        for path, digest in node.execution.deps.items()
        if f"{path}@{digest}" not in data
    }


def _commands(before: ExecutionNode, after: ExecutionNode) -> tuple[dict[str, str], dict[str, str]]:
    if not before.command or not after.command:
        return {}, {}  # MLflow does not know it of an execution that is in no lock
    return {"cmd": _text(before.command)}, {"cmd": _text(after.command)}


def _text(command: str | list[str]) -> str:
    return command if isinstance(command, str) else "\n".join(command)


def _is_measured(node: ExecutionNode | None) -> bool:
    """Whether metrics that are not there were not logged; a run that was lost may have had them."""
    return node is None or bool(node.run and not node.run.backfilled)


def _metrics(node: ExecutionNode | None) -> Mapping[str, float]:
    return node.run.metrics if node and node.run else {}


def _evaluations(
    project: Project, before: Traced, after: Traced
) -> tuple[tuple[Change[float], ...], list[str]]:
    """Changes in the evaluation of the model versions themselves, and what weakens them."""
    one, other = _version(project, before.graph), _version(project, after.graph)
    if one is None or other is None:
        return (), []
    doubts = []
    if one.evaluated_on != other.evaluated_on:
        doubts.append(
            f"{one.id} was evaluated on {one.evaluated_on or 'nothing'}, {other.id} on"
            f" {other.evaluated_on or 'nothing'}: their metrics do not compare the models alone."
        )
    return tuple(_changes("", one.metrics, other.metrics)), doubts


def _version(project: Project, graph: Graph) -> VersionNode | None:
    """The model version that was asked for, or the newest that is made of the model's files."""
    nodes = [graph.nodes[root] for root in graph.roots]
    versions = [node for node in nodes if isinstance(node, VersionNode)]
    for node in nodes:
        if isinstance(node, DataNode) and node.kind == "model" and node.hash:
            versions += project.registry.made_of(node.hash)
    return max(versions, key=lambda version: int(version.version), default=None)


def _files(project: Project, before: Side, after: Side) -> tuple[tuple[str, ...] | None, list[str]]:
    """Names of the files that differ between two commits; None, and why, where one is lacking."""
    if not before.commit or not after.commit:
        return None, []
    if before.commit == after.commit:
        return (), []
    lacking = [
        f"the commit {side.commit} of {side.meaning} is not in this clone, so that the files that"
        " differ are unknown; `git fetch` may bring it."
        for side in (before, after)
        if side.commit != WORKSPACE and project.history.find(side.commit) is None
    ]
    if lacking:
        return None, lacking
    import pygit2
    from pygit2.enums import DiffOption

    repository = pygit2.Repository(str(project.workspace.git_root))
    first, *second = [each for each in (before.commit, after.commit) if each != WORKSPACE]
    untracked = DiffOption.INCLUDE_UNTRACKED | DiffOption.RECURSE_UNTRACKED_DIRS
    # With a single commit, the other side is the working tree.
    found = repository.diff(first, second[0] if second else None, flags=untracked)
    names = {file.path for each in found.deltas for file in (each.old_file, each.new_file)}
    return tuple(sorted(names)), []


# What the answer cannot know.


def _unmeasured(
    before: Side, after: Side, both: Iterable[tuple[ExecutionNode, ExecutionNode]]
) -> Iterator[str]:
    for one, other in both:
        for side, node, opposite in ((before, one, other), (after, other, one)):
            if not _is_measured(node) and _metrics(opposite):
                yield (
                    f"no run that measured the stage {_stage(node)} of {side.meaning} is in this"
                    " store, so that its metrics are unknown."
                )


def _unexplained(
    difference: Difference, changed: Iterable[tuple[ExecutionNode, ExecutionNode]]
) -> Iterator[str]:
    explained = {
        change.stage
        for changes in (difference.code, difference.commands, difference.params)
        for change in changes
    }
    for one, other in changed:
        if (
            one.execution.signature != other.execution.signature
            and one.execution.deps == other.execution.deps
            and one.execution.stage.pipeline != NO_PIPELINE
            and _stage(one) not in explained
        ):
            yield (
                f"the stage {_stage(one)} has another signature on each side by something that is"
                " not shown: a param that differs in its type alone, or a command that no lock of"
                " this repository holds."
            )


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
