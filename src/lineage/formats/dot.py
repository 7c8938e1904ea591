"""A graph in the DOT language, for Graphviz."""

import textwrap

from lineage.formats import labels
from lineage.join.graph import Graph, Node
from lineage.words import visible

COLUMNS, COLUMNS_OF_WARNING = 48, 100
"""Of a line in a node, and above all nodes."""

JOINER = "\u2060"
"""Unicode's word joiner, which can't be seen: even escaped, Graphviz reads a backslash with an
N as the name of the node where it stands in a tooltip."""

SHAPES = {
    "data": 'shape=cylinder fillcolor="#dbeafe" color="#2563eb"',
    "execution": 'shape=box fillcolor="#f1f5f9" color="#64748b"',
    "version": 'shape=hexagon fillcolor="#dcfce7" color="#16a34a"',
    "origin": 'shape=box style="filled,rounded" fillcolor="#ffedd5" color="#ea580c"',
}


def dot(graph: Graph) -> str:
    """The graph as text for ``dot``; whole hashes and paths stand in the tooltips of an SVG.

    Cylinders are data, rectangles executions, hexagons model versions, rounded boxes where
    bytes came from. What was asked for has a thick border, an execution without a sure run
    a dashed one.
    """
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = [
        "digraph lineage {",
        '  graph [rankdir=LR charset="UTF-8" fontname="Helvetica"]',
        '  node [style=filled fontname="Helvetica" fontsize=11]',
        '  edge [color="#64748b" fontname="Helvetica" fontsize=9]',
    ]
    if graph.warnings:
        warnings = [
            line
            for sentence in graph.warnings
            for line in textwrap.wrap(visible(sentence), COLUMNS_OF_WARNING)
        ]
        lines.append(f"  graph [labelloc=t labeljust=l label={_quoted(*warnings)}]")
    for node_id, node in graph.nodes.items():
        lines.append(f"  {ids[node_id]} [{_attributes(node, node_id in graph.roots)}]")
    for source, target in graph.edges:
        used_as = labels.elided(labels.context(graph, source, target), COLUMNS)
        label = f" [label={_quoted(used_as)}]" if used_as else ""
        lines.append(f"  {ids[source]} -> {ids[target]}{label}")
    return "\n".join([*lines, "}"]) + "\n"


def _attributes(node: Node, is_root: bool) -> str:
    shown = [labels.elided(labels.title(node), COLUMNS), *labels.summary(node, COLUMNS)]
    attributes = [
        SHAPES[labels.type_of(node)],
        f"label={_quoted(*shown)}",
        f"tooltip={_quoted(*_tooltip(node))}",
    ]
    if is_root:
        attributes.append("penwidth=3")
    if labels.is_doubtful(node):
        attributes.append('style="filled,dashed"')
    return " ".join(attributes)


def _tooltip(node: Node) -> list[str]:
    return [f"{name}: {value}" for name, value in labels.facts(node)[""].items()]


def _quoted(*lines: str) -> str:
    """Lines as one string of DOT, in which Graphviz reads HTML's ``&lt;`` too."""
    escaped = (
        line.replace("&", "&amp;").replace("\\", "\\\\" + JOINER).replace('"', '\\"')
        for line in lines
    )
    return '"' + "\\n".join(escaped) + '"'
