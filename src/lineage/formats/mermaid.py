"""A graph as a Mermaid flowchart, which GitHub draws in Markdown."""

import re
import textwrap

from lineage.errors import LineageError
from lineage.formats import labels
from lineage.join.graph import Graph, Node
from lineage.words import visible

MAX_CHARACTERS = 50_000
"""Of a chart that GitHub draws: Mermaid's ``maxTextSize``, in UTF-16 code units."""

MAX_EDGES = 500
"""Of a chart that GitHub draws: Mermaid's ``maxEdges``."""

COLUMNS = 40
"""Of a line in a node."""

PLAIN = " /_,@·….-"
"""What may stand in a label as it is, beside letters and digits."""

JOINER = "#8288;"
"""Unicode's word joiner, which can't be seen: even escaped, Mermaid reads a backslash with an n
as a new line, two dollar signs as mathematics and a colon with some names as an icon."""

WIDE = '%%{init: {"flowchart": {"wrappingWidth": 400}}}%%'
"""Room for `COLUMNS`, of which Mermaid would make two lines."""

SHAPES = {
    "data": ("[(", ")]"),
    "execution": ("[", "]"),
    "version": ("{{", "}}"),
    "origin": ("([", "])"),
}

STYLES = {
    "data": "fill:#dbeafe,stroke:#2563eb,color:#10233f",
    "execution": "fill:#f1f5f9,stroke:#64748b,color:#1b2430",
    "version": "fill:#dcfce7,stroke:#16a34a,color:#0f2a18",
    "origin": "fill:#ffedd5,stroke:#ea580c,color:#3a1c07",
    "doubtful": "stroke:#b45309,stroke-dasharray:5 4",
    "root": "stroke-width:4px",
    "warning": "fill:#fef3c7,stroke:#d97706,color:#3b2a04",
}


def mermaid(graph: Graph) -> str:
    """The graph as a flowchart, from where bytes came from down to what was made of them.

    Cylinders are data, rectangles executions, hexagons model versions, rounded ends where
    bytes came from. What was asked for has a thick border, an execution without a sure run
    a dashed one.

    Raises:
        LineageError: If it is larger than what GitHub draws.
    """
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = [WIDE, "flowchart TB"]
    for number, sentence in enumerate(graph.warnings):
        lines.append(f"  w{number}[{_warning(sentence)}]:::warning")
    for node_id, node in graph.nodes.items():
        opening, closing = SHAPES[labels.type_of(node)]
        style = labels.type_of(node)
        lines.append(f"  {ids[node_id]}{opening}{_label(node)}{closing}:::{style}")
    for source, target in graph.edges:
        used_as = labels.elided(labels.context(graph, source, target), COLUMNS)
        arrow = f"-->|{_quoted(used_as)}|" if used_as else "-->"
        lines.append(f"  {ids[source]} {arrow} {ids[target]}")
    lines += [f"  classDef {name} {style}" for name, style in STYLES.items()]
    doubtful = [ids[key] for key, node in graph.nodes.items() if labels.is_doubtful(node)]
    for members, style in (([ids[root] for root in graph.roots], "root"), (doubtful, "doubtful")):
        if members:
            lines.append(f"  class {','.join(members)} {style}")
    text = "\n".join(lines) + "\n"
    _check_size(graph, text)
    return text


def _label(node: Node) -> str:
    return _quoted(labels.elided(labels.title(node), COLUMNS), *labels.summary(node, COLUMNS))


def _warning(sentence: str) -> str:
    return _quoted(*textwrap.wrap(visible(sentence), COLUMNS))


def _quoted(*lines: str) -> str:
    """Lines as a quoted text in which nothing means anything to Mermaid, Markdown or HTML."""
    shown = "<br/>".join(_escaped(line) for line in lines)
    # It does not parse an empty text.
    return f'"{shown or " "}"'


def _escaped(text: str) -> str:
    safe = "".join(_letter(letter) for letter in text)
    # At the start of a line these would make a list.
    return re.sub(r"^( *\d*)([.-])", lambda found: f"{found[1]}#{ord(found[2])};", safe)


def _letter(letter: str) -> str:
    if letter.isalnum() or letter in PLAIN:
        return letter
    escaped = f"#{ord(letter)};"
    return escaped + JOINER if letter in "\\$:" else escaped


def _check_size(graph: Graph, text: str) -> None:
    characters = len(text.encode("utf-16-le")) // 2
    if characters > MAX_CHARACTERS or len(graph.edges) > MAX_EDGES:
        raise LineageError(
            f"this graph is too large for Mermaid on GitHub, which draws up to {MAX_EDGES} edges"
            f" and {MAX_CHARACTERS:,} characters: it has {len(graph.nodes):,} nodes,"
            f" {len(graph.edges):,} edges and {characters:,} characters; use `--format html` or"
            " `--format dot`."
        )
