"""One side of a comparison: a thing, all that is upstream of it, and what that wrote."""

from dataclasses import dataclass, replace

from lineage.identity import StageId
from lineage.join.graph import DataNode, ExecutionNode, Graph, GraphBuilder, execution_id
from lineage.join.knowledge import Knowledge
from lineage.join.reference import RevisionRef, RunRef, Subject
from lineage.project import Project
from lineage.repository.commits import WORKSPACE, Commit
from lineage.tracking.facts import RunFacts, VersionNode, facts_of
from lineage.verbs.diff_answer import Side
from lineage.verbs.trace import upstream


@dataclass(frozen=True)
class Traced:
    """A thing with all that is upstream of it, and what its executions wrote."""

    side: Side
    subject: Subject
    graph: Graph


def traced(project: Project, ref: str, subject: Subject) -> Traced:
    """Everything upstream of a thing, together with all that its executions wrote."""
    graph = _with_outputs(project, _upstream(project, subject))
    if isinstance(subject, RevisionRef):
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


def _upstream(project: Project, subject: Subject) -> Graph:
    graph = upstream(project, subject)
    if not isinstance(subject, RunRef):
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
            for data in node.execution.written:
                if str(data) not in builder.nodes:
                    builder.add(knowledge.data(data))
                builder.link(root, str(data))
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


def part(whole: Graph, like: Graph) -> Graph:
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


def names(graph: Graph) -> set[StageId | str]:
    """What all nodes are called in every version."""
    return {name for key in graph.nodes for name in _called(graph, key)}
