"""What is said of a node, in a few words and in full, whatever the form."""

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.filesize import decimal

from lineage.join.graph import DataNode, ExecutionNode, Graph, Node, OriginNode
from lineage.repository.commits import SHORT
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status
from lineage.tracking.tags import INPUT
from lineage.words import count, metrics, short, visible

Facts = Mapping[str, Mapping[str, str]]
"""Heading -> name -> value; the heading of what is the node's own is empty."""


def elided(text: str, columns: int) -> str:
    """The text with its middle left out where it is wider than so many columns."""
    if cell_len(text) <= columns:
        return text
    # The end of a path tells more than its start.
    head, tail = text[: columns // 3], text[-columns:]
    while cell_len(head) + 1 + cell_len(tail) > columns:
        tail = tail[1:]
    return f"{head}…{tail}"


def type_of(node: Node) -> str:
    """One word for the node's type: ``data``, ``execution``, ``version`` or ``origin``."""
    match node:
        case DataNode():
            return "data"
        case ExecutionNode():
            return "execution"
        case VersionNode():
            return "version"
        case OriginNode():
            return "origin"


def is_doubtful(node: Node) -> bool:
    """Whether it is an execution without a run that surely made what the lock says."""
    return isinstance(node, ExecutionNode) and node.status not in (Status.RECORDED, None)


def title(node: Node) -> str:
    """What the node is called."""
    match node:
        case DataNode():
            return visible(node.path)
        case ExecutionNode():
            return visible(str(node.execution.stage))
        case VersionNode():
            return visible(f"{node.name} version {node.version}")
        case OriginNode():
            return visible(node.name or node.url)


def summary(node: Node, columns: int) -> list[str]:
    """At most two lines of a few words, of which the last go where they don't fit."""
    match node:
        case DataNode():
            lines = [[node.kind, short(node.hash)], _amount(node)]
        case ExecutionNode():
            lines = [_certainty(node), metrics(node.run.metrics) if node.run else []]
        case VersionNode():
            lines = [[*(f"@{alias}" for alias in node.aliases), node.verdict]]
            lines.append(metrics(node.metrics))
        case OriginNode():
            lines = [[node.url if node.url != node.name else ""]]
            lines.append([short(node.checksum), _size(node.size_bytes)])
    said = (_fitted([visible(word) for word in words if word], columns) for words in lines)
    return [line for line in said if line]


def context(graph: Graph, source: str, target: str) -> str:
    """What the target used the source as, such as ``training``; empty where nothing says so."""
    data, execution = graph.nodes[source], graph.nodes[target]
    if not (isinstance(data, DataNode) and isinstance(execution, ExecutionNode) and execution.run):
        return ""
    recorded = execution.run.contexts.get(data.path, "")
    # An arrow says as much as the context that every dataset has by default.
    return visible(recorded) if recorded != INPUT else ""


def facts(node: Node) -> Facts:
    """All that is known of the node."""
    match node:
        case DataNode():
            found = {"": _of_data(node)}
        case ExecutionNode():
            found = _of_execution(node)
        case VersionNode():
            found = {
                "": _of_version(node),
                "Metrics": _plain(node.metrics),
                "Made of": dict(node.data),
            }
        case OriginNode():
            found = {"": _of_origin(node)}
    return {
        heading: {visible(name): visible(value) for name, value in rows.items()}
        for heading, rows in found.items()
        if rows
    }


def _of_data(node: DataNode) -> dict[str, str]:
    return _known(
        {
            "Path": node.path,
            "DVC hash": node.hash,
            "Kind": node.kind,
            "Bytes": _exact_size(node.size_bytes),
            "Files": "" if node.files is None else f"{node.files:,}",
            "Revisions": ", ".join(node.revisions),
            "Also made by": count(node.others, "other execution") if node.others else "",
        }
    )


def _of_execution(node: ExecutionNode) -> dict[str, dict[str, str]]:
    command = node.command if isinstance(node.command, str) else " && ".join(node.command)
    own = {
        "Stage": node.execution.stage.name,
        "Pipeline": node.execution.stage.pipeline,
        "Status": node.status.value if node.status else "",
        "Signature": node.execution.signature,
        "Command": command,
        "Revisions": ", ".join(node.revisions),
        "Confirmed by": ", ".join(run.id for run in node.confirmations),
    }
    return {
        "": _known(own),
        "Run": _of_run(node.run) if node.run else {},
        "Params": dict(node.params),
        "Metrics": _plain(node.run.metrics) if node.run else {},
        "Read": dict(node.execution.deps),
        "Wrote": dict(node.execution.outs),
    }


def _of_run(run: RunFacts) -> dict[str, str]:
    return _known(
        {
            "Run id": run.id,
            "Run status": run.status,
            "Started": f"{run.started:%Y-%m-%d %H:%M:%S} UTC",
            "Commit": run.commit,
            "Branch": run.branch,
            "Uncommitted changes": "yes" if run.dirty else "",
            "DVC experiment": run.experiment,
            "Repository": run.repository,
            "Written down later": "yes, by lineage sync" if run.backfilled else "",
        }
    )


def _of_version(node: VersionNode) -> dict[str, str]:
    return _known(
        {
            "Reference": node.id,
            "Aliases": ", ".join(node.aliases),
            "Verdict": node.verdict,
            "DVC hash": node.hash,
            "Evaluated on": node.evaluated_on,
            "Run id": node.run_id,
        }
    )


def _of_origin(node: OriginNode) -> dict[str, str]:
    return _known(
        {
            "Name": node.name,
            "URL": node.url,
            "Checksum": node.checksum,
            "Bytes": _exact_size(node.size_bytes),
        }
    )


def _known(rows: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in rows.items() if value}


def _certainty(node: ExecutionNode) -> list[str]:
    """How sure it is that it ran, and where."""
    doubt = node.status.value if node.status and is_doubtful(node) else ""
    if node.run is None:
        return [doubt]
    run = node.run
    outcome = run.status.lower() if run.status != "FINISHED" else ""
    commit = f"commit {run.commit[:SHORT]}" if run.commit else ""
    return [doubt, outcome, f"run {short(run.id)}", commit]


def _fitted(words: Sequence[str], columns: int) -> str:
    """As many of the words as fit; the first at any rate, but elided."""
    line = elided(words[0], columns) if words else ""
    for word in words[1:]:
        if cell_len(longer := f"{line} · {word}") > columns:
            break
        line = longer
    return line


def _plain(metrics: Mapping[str, float]) -> dict[str, str]:
    return {name: str(value) for name, value in sorted(metrics.items())}


def _amount(node: DataNode) -> list[str]:
    files = "" if node.files is None else count(node.files, "file")
    times = f"made {node.others + 1} times" if node.others else ""
    return [_size(node.size_bytes), files, times]


def _size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else decimal(size_bytes)


def _exact_size(size_bytes: int | None) -> str:
    return "" if size_bytes is None else f"{size_bytes:,} ({decimal(size_bytes)})"
