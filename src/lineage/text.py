"""Answers as text for people: tables and trees."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from lineage.cells import in_line, in_table, joined, shortened, shown, size
from lineage.join.graph import DataNode, ExecutionNode, Graph, Node, OriginNode
from lineage.repository.commits import SHORT, WORKSPACE
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status
from lineage.words import count, metrics

if TYPE_CHECKING:
    from lineage.verbs.attempts import Attempts
    from lineage.verbs.checkout import Brought
    from lineage.verbs.diff_answer import Change, DataChange, Difference, Side, StageChange
    from lineage.verbs.log import Log
    from lineage.verbs.show import Copies, Shown
    from lineage.verbs.sync import Synced
    from lineage.verbs.verify import Verified
    from lineage.verbs.when import Tenure, When

FILES_SHOWN = 20
KIND_COLOURS = {"dataset": "green", "model": "magenta", "report": "blue", "code": "white"}


def log(answer: "Log") -> RenderableType:
    """A table of versions, newest first."""
    if not answer.versions:
        return shown("No revision tracks data yet: run `dvc repro` and commit dvc.lock.")
    columns = ("when", "commit", "path", "hash", "files", "bytes", "recorded", "runs", "models")
    rows = [
        (
            f"{version.commit.time:%Y-%m-%d %H:%M}",
            _named(version.commit.short, version.names),
            shown(version.item.path, style=KIND_COLOURS.get(version.item.kind, "")),
            shortened(version.item.hash),
            str(version.item.files),
            size(version.item.size_bytes),
            ", ".join(f"{key} {value}" for key, value in _numbers(version.facts).items()),
            str(version.runs),
            str(len(version.models)),
        )
        for version in answer.versions
    ]
    table = in_table(columns, rows)
    older = f"{answer.older} older versions: --all shows them" if answer.older else ""
    return Group(table, *([shown(older, style="dim")] if older else []))


def tree(answer: Graph, *, upstream: bool) -> RenderableType:
    """The graph from its roots on, each node once; a second time only its name."""
    seen: set[str] = set()
    reached = {
        key for key in answer.nodes if (answer.downstream if upstream else answer.upstream)(key)
    }
    # Of many roots, those that another leads to are shown where it does.
    roots = [root for root in answer.roots if root not in reached] or list(answer.roots)
    return Group(*(_branch(answer, root, seen, upstream=upstream) for root in roots))


def _branch(
    graph: Graph, root: str, seen: set[str], *, upstream: bool, into: Tree | None = None
) -> Tree:
    label = line(graph.nodes[root])
    following = graph.upstream(root) if upstream else graph.downstream(root)
    if root in seen and following:
        label = joined(label, shown("  see above", style="dim"))
    branch = Tree(label, guide_style="dim") if into is None else into.add(label)
    if root not in seen:
        seen.add(root)
        for node in following:
            _branch(graph, node, seen, upstream=upstream, into=branch)
    return branch


def line(node: Node) -> Text:
    """A node in a line."""
    match node:
        case VersionNode():
            return _version(node)
        case DataNode():
            return _data(node)
        case ExecutionNode():
            return _execution(node)
        case OriginNode():
            return in_line(
                shown(node.url if node.url.endswith(node.name) else f"{node.url} {node.name}"),
                node.checksum,
                size(node.size_bytes),
            )


def _version(node: VersionNode) -> Text:
    evaluated = f"on {shortened(node.evaluated_on)}" if node.evaluated_on else ""
    return in_line(
        shown(node.id, style="bold magenta"),
        shown(" ".join(f"@{alias}" for alias in node.aliases), style="bold"),
        node.verdict,
        f"{', '.join(metrics(node.metrics))} {evaluated}".strip(),
    )


def _data(node: DataNode) -> Text:
    files = "" if node.files is None else count(node.files, "file")
    others = f"{node.others} other executions gave the same bytes" if node.others else ""
    return in_line(
        shown(node.path, style=KIND_COLOURS.get(node.kind, "")),
        shortened(node.hash),
        node.kind,
        ", ".join(part for part in (files, size(node.size_bytes)) if part),
        ", ".join(node.revisions[:4]) + (", …" if len(node.revisions) > 4 else ""),
        others,
    )


def _execution(node: ExecutionNode) -> Text:
    stage = node.execution.stage
    known = f"signature {shortened(node.execution.signature)}" if stage.pipeline else "no stage"
    status = "" if node.status in (None, Status.RECORDED) else node.status.value
    confirmed = f"confirmed by {len(node.confirmations)}" if node.confirmations else ""
    return in_line(
        shown(str(stage), style="bold cyan"),
        _run(node.run) if node.run else "no run",
        known,
        shown(status, style="yellow"),
        confirmed,
        ", ".join(metrics(node.run.metrics)) if node.run else "",
    )


def _run(run: RunFacts) -> str:
    parts = [f"run {shortened(run.id)}"]
    if run.status != "FINISHED":
        parts.append(run.status.lower())
    if run.backfilled:
        parts.append("written down later")
    parts.append(f"{run.started:%Y-%m-%d %H:%M}")
    if run.commit:
        parts.append(f"on {run.commit[:SHORT]}{'+changes' if run.dirty else ''}")
    if run.experiment:
        parts.append(f"experiment {run.experiment}")
    return " ".join(parts)


def show(answer: "Shown") -> RenderableType:
    """A thing, where it is, and its neighbours."""
    graph = answer.graph
    parts: list[RenderableType] = []
    for root in graph.roots:
        parts.append(line(graph.nodes[root]))
        parts += _facts(answer, graph.nodes[root])
        parts += _near("from", [graph.nodes[each] for each in graph.upstream(root)])
        parts += _near("into", [graph.nodes[each] for each in graph.downstream(root)])
    if answer.places:
        parts.append(_places(graph, answer.places))
    broken = [path for place in answer.places.values() for path in place.stored.damaged]
    parts += [Text(f"{path} holds other bytes than its name says", "red") for path in broken]
    parts += [Text(f"not checked: {each}", style="dim") for each in answer.skipped]
    return Group(*parts)


def _facts(answer: "Shown", node: Node) -> list[RenderableType]:
    match node:
        case DataNode():
            known = {"hash": node.hash, **answer.facts.get(node.hash, {})}
        case ExecutionNode():
            run = node.run
            known = {
                "signature": node.execution.signature,
                "command": node.command
                if isinstance(node.command, str)
                else "; ".join(node.command),
                "run": run.id if run else "",
                "commit": run.commit if run else "",
                "revisions": ", ".join(node.revisions),
                "params": ", ".join(f"{key}={value}" for key, value in node.params.items()),
            }
        case VersionNode():
            known = {"hash": node.hash, "run": node.run_id, "evaluated on": node.evaluated_on}
        case OriginNode():
            known = {"checksum": node.checksum}
    return [
        joined("  ", shown(f"{key}: ", style="dim"), str(value))
        for key, value in known.items()
        if value not in ("", None)
    ]


def _near(word: str, nodes: Iterable[Node]) -> list[RenderableType]:
    return [joined("  ", shown(f"{word} ", style="dim"), line(node)) for node in nodes]


def _places(graph: Graph, places: "Mapping[str, Copies]") -> RenderableType:
    rows = []
    paths = {node.hash: node.path for node in graph.nodes.values() if isinstance(node, DataNode)}
    for digest, place in places.items():
        models = [f"models:/{model}" for model in place.mlflow["models"]]
        runs = place.mlflow["runs"]
        remote = place.stored.remote
        row = (
            paths.get(digest, ""),
            shortened(digest),
            ", ".join(place.workspace) or "no",
            "yes" if place.stored.cache else "no",
            "none is set up" if remote is None else ("yes" if remote else "no"),
            ", ".join([*models, *([f"a dataset of {runs} runs"] if runs else [])]) or "no",
        )
        rows.append(row)
    return in_table(("data", "hash", "workspace", "cache", "remote", "MLflow"), rows)


def verified(answer: "Verified") -> RenderableType:
    """A line for each break, and what was checked."""
    breaks = [shown(each.sentence, style="red") for each in answer.breaks]
    skipped = [shown(f"not checked: {each}", style="dim") for each in answer.skipped]
    checked = shown(
        f"checked: {answer.stages} stages, {answer.model_versions} model versions,"
        f" {answer.hashes} data hashes, {answer.commits} commits; breaks: {len(answer.breaks)}"
    )
    return Group(*breaks, *skipped, checked)


def synced(answer: "Synced") -> RenderableType:
    """A line for everything that was made."""
    lines = [f"{answer.sent} records that had waited were sent"] if answer.sent else []
    lines += [f"{stage}: run written down from dvc.lock" for stage in answer.runs]
    lines += [
        f"{stage}: accepted with `dvc commit`; no run made these outputs"
        for stage in answer.accepted
    ]
    lines += [f"{version.id}: {version.verdict}" for version in answer.versions]
    return Group(*map(shown, lines))


def attempts(answer: "Attempts") -> RenderableType:
    """A table of what attempts left, and what was removed of it."""
    if not answer.left:
        return shown("No attempt was stopped that left anything to go on from.")
    rows = [
        (
            shown(each.stage),
            shortened(each.signature),
            f"{each.since:%Y-%m-%d %H:%M}",
            size(each.size_bytes),
            shortened(each.run),
            "runs" if each.runs else "removed" if each.signature in answer.removed else "stopped",
        )
        for each in answer.left
    ]
    return in_table(("stage", "signature", "since", "bytes", "run", ""), rows)


def when(answer: "When") -> RenderableType:
    """A table of the versions that had an alias, and why; the last one first."""
    if not answer.tenures:
        return shown(f"No version had {answer.ref} then.")
    columns = ("since", "until", "version", "hash", "by", "why")
    return in_table(columns, [_tenure(each) for each in reversed(answer.tenures)])


def _tenure(tenure: "Tenure") -> tuple[str | Text, ...]:
    by_hand = tenure.promotion is None
    since = f"{tenure.since:%Y-%m-%d %H:%M:%S}" if tenure.since else ""
    until = f"{tenure.until:%Y-%m-%d %H:%M:%S}" if tenure.until else ""
    return (
        f"after {since}".rstrip() if by_hand and since else since or "unknown",
        until or ("now" if tenure.is_present else "unknown"),
        shown(tenure.version or "none", style="bold magenta"),
        shortened(tenure.hash),
        tenure.promotion.by if tenure.promotion else "",
        tenure.promotion.why if tenure.promotion else "moved by hand",
    )


def difference(answer: "Difference") -> RenderableType:
    """A table for each kind of change."""
    head = [_side("-", answer.a), _side("+", answer.b)]
    if answer.is_equal:
        return Group(*head, shown("made in the same way of the same bytes, with the same metrics"))
    sections = [
        ("code", [_code_change(change) for change in answer.code]),
        ("commands", _changes(answer.commands)),
        ("params", _changes(answer.params)),
        ("data", [_data_change(change) for change in answer.data]),
        ("metrics", _changes(answer.metrics)),
        ("stages", [(c.stage, "", *_sides_of_stage(c)) for c in answer.stages]),
    ]
    parts: list[RenderableType] = []
    for name, rows in sections:
        if rows:
            parts += [Text(), in_table((name, "", "before", "after"), rows)]
    files = answer.files or ()
    if files:
        parts += [Text(), shown(f"{len(files)} files differ between the commits:", style="bold")]
        parts += [shown(f"  {file}") for file in files[:FILES_SHOWN]]
        if len(files) > FILES_SHOWN:
            parts.append(shown(f"  and {len(files) - FILES_SHOWN} more, which --json lists"))
    return Group(*head, *parts)


def _side(sign: str, side: "Side") -> Text:
    name = side.commit if side.commit == WORKSPACE else side.commit[:SHORT]
    commit = f"on {name}{'+changes' if side.dirty else ''}" if name else ""
    return in_line(shown(f"{sign} {side.ref}", style="bold"), side.meaning, commit)


def _changes(changes: "Iterable[Change[Any]]") -> list[tuple[str, str, str, str]]:
    return [(c.stage, c.name, _value(c.before), _value(c.after)) for c in changes]


def _value(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _code_change(change: "Change[str]") -> tuple[str, str, str, str]:
    return (
        change.stage,
        change.name,
        shortened(change.before or "none"),
        shortened(change.after or "none"),
    )


def _data_change(change: "DataChange") -> tuple[str, str, str, str]:
    def bytes_of(node: DataNode | None) -> str:
        if node is None:
            return "none"
        files = "" if node.files is None else f" {node.files} files"
        return f"{shortened(node.hash)}{files} {size(node.size_bytes)}".rstrip()

    return change.path, change.kind, bytes_of(change.before), bytes_of(change.after)


def _sides_of_stage(change: "StageChange") -> tuple[str, str]:
    def ran(node: ExecutionNode | None) -> str:
        if node is None:
            return "none"
        return _run(node.run) if node.run else f"no run, {node.status}"

    return ran(change.before), ran(change.after)


def checked_out(answer: "Brought") -> RenderableType:
    """A line for each thing that was written."""
    lines = [f"{placed.hash}  {placed.path}" for placed in answer.places]
    if answer.commit:
        lines.append(f"with the code of commit {answer.commit}")
    return Group(*map(shown, lines))


def _named(commit: str, names: Iterable[str]) -> str:
    named = ", ".join(names)
    return f"{commit} {named}" if named and named != commit else commit


def _numbers(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in facts.items() if isinstance(value, int | float)}
