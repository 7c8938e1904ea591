"""What changed between two things, and in all that they were made of."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import zip_longest
from typing import Any, TypeVar

from lineage.errors import LineageError
from lineage.identity import StageId
from lineage.join.graph import DataNode, ExecutionNode, Graph
from lineage.join.reference import RevisionRef, Subject, resolve_ref
from lineage.project import Project
from lineage.repository.commits import WORKSPACE
from lineage.tracking.executions import NO_PIPELINE
from lineage.tracking.facts import VersionNode
from lineage.verbs.diff_answer import Change, DataChange, Difference, Side, StageChange, T
from lineage.verbs.diff_sides import Traced, names, part, recorded, traced

N = TypeVar("N", DataNode, ExecutionNode)


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
    revisions = [isinstance(each.subject, RevisionRef) for each in (before, after)]
    if revisions == [True, False]:
        before = replace(before, graph=part(before.graph, after.graph))
    if revisions == [False, True]:
        after = replace(after, graph=part(after.graph, before.graph))
    if not all(revisions) and names(before.graph).isdisjoint(names(after.graph)):
        raise LineageError(
            f"{before.side.meaning} and {after.side.meaning} have no stage and no path of data in"
            " common: compare two versions of one thing."
        )
    return compare(project, before, after)


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


def _subject(project: Project, ref: str) -> Subject:
    if ref == WORKSPACE and project.history.commits.find(ref) is None:
        return RevisionRef(ref, project.history.commits.present)
    return resolve_ref(project, ref)


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
    return {each.path: each.hash for each in node.execution.read if str(each) not in data}


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
        if side.commit != WORKSPACE and project.history.commits.find(side.commit) is None
    ]
    if lacking:
        return None, lacking
    from pygit2.enums import DiffOption

    repository = project.history.commits.repository
    first, *second = [each for each in (before.commit, after.commit) if each != WORKSPACE]
    untracked = DiffOption.INCLUDE_UNTRACKED | DiffOption.RECURSE_UNTRACKED_DIRS
    # With a single commit, the other side is the working tree.
    found = repository.diff(first, second[0] if second else None, flags=untracked)
    names = {file.path for each in found.deltas for file in (each.old_file, each.new_file)}
    return tuple(sorted(names)), []


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
