"""A graph as one HTML file that needs nothing else: a drawing and the facts of each node."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources
from itertools import pairwise

from lineage.formats import labels
from lineage.formats.layout import HEIGHT, WIDTH, Layout, Point, layout
from lineage.join.graph import Graph, Node
from lineage.words import some, visible

COLUMNS_OF_TITLE, COLUMNS = 24, 32
"""That fit into a box, in the title and in the lines below, in wide fonts too."""

RIM = 4
"""Half the height of a cylinder's lid."""

VIEW_WIDTH, VIEW_HEIGHT = 1200, 800
"""Of the part of a window that is likely to be there for the drawing, in pixels."""

TYPES = {
    "data": "data",
    "execution": "execution of a stage",
    "version": "model version",
    "origin": "origin",
}


def html(graph: Graph) -> str:
    """The graph as a page that stands alone.

    Nodes are links to their facts, so it works without scripts too; with them, choosing a
    node shows what it came from and what came of it, and arrow keys go along the arrows.
    Nothing is fetched, and the page forbids every script and style but its own two.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}"
    numbers = {node: number for number, node in enumerate(graph.nodes)}
    names = [labels.title(graph.nodes[root]) for root in graph.roots]
    about = some(names)
    heading = f"Lineage of {about}" if about else "Lineage"
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(heading)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        *_header(graph, heading),
        *_warnings(graph),
        '<main class="chart">',
        *_chart(graph, numbers),
        "</main>",
        '<aside class="facts" aria-live="polite" aria-label="Facts">',
        '<p class="hint">Choose a node to see what is known of it.</p>',
    ]
    for node in graph.nodes:
        lines += _facts(graph, node, numbers)
    lines += ["</aside>", f"<script>{script}</script>", "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def _asset(name: str) -> str:
    return resources.files("lineage.formats").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _header(graph: Graph, heading: str) -> Iterator[str]:
    yield "<header>"
    yield f"<h1>{escape(heading)}</h1>"
    yield f"<p>{len(graph.nodes):,} nodes, {len(graph.edges):,} arrows</p>"
    yield '<ul class="legend">'
    looks = [labels.type_of(node) for node in graph.nodes.values()]
    legend = {kind: meaning for kind, meaning in TYPES.items() if kind in looks}
    if any(labels.is_doubtful(node) for node in graph.nodes.values()):
        legend["execution doubtful"] = "without a sure run"
    for look, meaning in legend.items():
        outline = _shape(look.split()[0], 24, 14)
        drawing = f'<svg viewBox="-1 -1 26 16" aria-hidden="true">{outline}</svg>'
        yield f'<li class="{look}">{drawing}{meaning}</li>'
    yield "</ul>"
    yield '<div class="zoom" role="group" aria-label="Zoom" hidden>'
    for value, sign, meaning in (
        ("out", "&minus;", "Smaller"),
        ("in", "+", "Larger"),
        ("fit", "Fit", "Fit the whole into view"),
        ("full", "1:1", "Full size"),
    ):
        yield f'<button value="{value}" aria-label="{meaning}" title="{meaning}">{sign}</button>'
    yield "</div>"
    yield "</header>"


def _warnings(graph: Graph) -> Iterator[str]:
    if graph.warnings:
        yield '<ul class="warnings" role="note" aria-label="Warnings">'
        yield from (f"<li>{escape(visible(each))}</li>" for each in graph.warnings)
        yield "</ul>"


def _chart(graph: Graph, numbers: dict[str, int]) -> Iterator[str]:
    if not graph.nodes:
        yield "<p>There is nothing to show.</p>"
        return
    drawing = _fitting(graph)
    yield (
        f'<svg width="{drawing.width:g}" height="{drawing.height:g}"'
        f' viewBox="0 0 {drawing.width:g} {drawing.height:g}" role="group" aria-label="Graph"'
        f' data-flow="{"down" if drawing.is_down else "right"}">'
    )
    yield "<defs>"
    for name in ("arrow", "arrow-of-line"):
        yield (
            f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7"'
            ' markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">'
            '<path d="M0 0.5 10 5 0 9.5Z"/></marker>'
        )
    yield "</defs>"
    yield from _arrows(graph, drawing, numbers)
    way = -1 if drawing.is_down else 1
    for node_id in sorted(graph.nodes, key=lambda each: drawing.boxes[each][::way]):
        yield from _box(graph, node_id, drawing.boxes[node_id], numbers[node_id])
    yield "</svg>"


def _fitting(graph: Graph) -> Layout:
    """Deep graphs go down, broad ones to the right: whichever can be seen larger as a whole."""
    return max(
        (layout(graph.nodes, graph.edges, is_down=is_down) for is_down in (True, False)),
        key=lambda drawing: min(VIEW_WIDTH / drawing.width, VIEW_HEIGHT / drawing.height),
    )


def _arrows(graph: Graph, drawing: Layout, numbers: dict[str, int]) -> Iterator[str]:
    texts = []
    for source, target in graph.edges:
        points = drawing.arrows[source, target]
        ends = f'data-from="{numbers[source]}" data-to="{numbers[target]}"'
        line = f'd="{_path(points, drawing.is_down)}" marker-end="url(#arrow)"'
        yield f'<path class="edge" {ends} {line}/>'
        used_as = labels.elided(labels.context(graph, source, target), 12)
        if used_as:
            x, y = points[-1]
            place = (x + 5, y - 13) if drawing.is_down else (x - 12, y - 4)
            anchor = "start" if drawing.is_down else "end"
            texts.append(
                f'<text class="context" {ends} x="{place[0]:g}" y="{place[1]:g}"'
                f' text-anchor="{anchor}">{escape(used_as)}</text>'
            )
    # After all arrows, so that none crosses a word.
    yield from texts


def _path(points: Sequence[Point], is_down: bool) -> str:
    """The line of an arrow: straight where `Layout` says so, else curved."""
    steps = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(points)):
        if number % 2:
            steps.append(f"L{next_x:g} {next_y:g}")
        elif is_down:
            turn = (y + next_y) / 2
            steps.append(f"C{x:g} {turn:g} {next_x:g} {turn:g} {next_x:g} {next_y:g}")
        else:
            turn = (x + next_x) / 2
            steps.append(f"C{turn:g} {y:g} {turn:g} {next_y:g} {next_x:g} {next_y:g}")
    return "".join(steps)


def _box(graph: Graph, node_id: str, corner: Point, number: int) -> Iterator[str]:
    node = graph.nodes[node_id]
    title, lines = labels.title(node), labels.summary(node, COLUMNS)
    classes = ["node", labels.type_of(node)]
    classes += ["root"] if node_id in graph.roots else []
    classes += ["doubtful"] if labels.is_doubtful(node) else []
    spoken = ", ".join([TYPES[labels.type_of(node)], title, *lines])
    x, y = corner
    yield (
        f'<a class="{" ".join(classes)}" id="node-{number}" href="#facts-{number}"'
        f' transform="translate({x:g} {y:g})" aria-label="{escape(spoken)}">'
    )
    yield f"<title>{escape(_hover(node))}</title>"
    yield _shape(labels.type_of(node), WIDTH, HEIGHT)
    first = HEIGHT / 2 + 5 - 8.5 * len(lines) + (RIM / 2 if labels.type_of(node) == "data" else 0)
    shown = labels.elided(title, COLUMNS_OF_TITLE)
    yield f'<text class="title" x="18" y="{first:g}">{escape(shown)}</text>'
    for place, line in enumerate(lines, start=1):
        text = escape(labels.elided(line, COLUMNS))
        yield f'<text class="more" x="18" y="{first + 16.5 * place:g}">{text}</text>'
    yield "</a>"


def _hover(node: Node) -> str:
    return "\n".join(f"{name}: {value}" for name, value in labels.facts(node)[""].items())


def _shape(kind: str, width: float, height: float) -> str:
    """The outline of a node: cylinder, rectangle, hexagon or rounded ends."""
    if kind == "data":
        rim = min(RIM, height / 5)
        outline = (
            f'd="M0 {rim:g}A{width / 2:g} {rim:g} 0 0 1 {width:g} {rim:g}V{height - rim:g}'
            f"A{width / 2:g} {rim:g} 0 0 1 0 {height - rim:g}Z"
            f'M0 {rim:g}A{width / 2:g} {rim:g} 0 0 0 {width:g} {rim:g}"'
        )
    elif kind == "version":
        corner = height / 5
        outline = (
            f'd="M{corner:g} 0H{width - corner:g}L{width:g} {height / 2:g}'
            f'L{width - corner:g} {height:g}H{corner:g}L0 {height / 2:g}Z"'
        )
    else:
        radius = height / 2 if kind == "origin" else 3
        size = f'width="{width:g}" height="{height:g}" rx="{radius:g}"'
        return f'<rect class="shape" {size}/>'
    return f'<path class="shape" {outline}/>'


def _facts(graph: Graph, node_id: str, numbers: dict[str, int]) -> Iterator[str]:
    node = graph.nodes[node_id]
    yield f'<section id="facts-{numbers[node_id]}">'
    yield f"<h2>{escape(labels.title(node))}</h2>"
    yield f'<p class="type">{TYPES[labels.type_of(node)]}</p>'
    for heading, rows in labels.facts(node).items():
        if heading:
            yield f"<h3>{heading}</h3>"
        yield "<dl>"
        for name, value in rows.items():
            yield f"<dt>{escape(name)}</dt><dd{_style_of(name, heading)}>{escape(value)}</dd>"
        yield "</dl>"
    for heading, others in (
        ("Made of", graph.upstream(node_id)),
        ("Made into", graph.downstream(node_id)),
    ):
        if others:
            yield f"<h3>{heading}</h3>"
            yield "<ul>"
            for other in others:
                text = " · ".join([labels.title(graph.nodes[other]), *_first_line(graph, other)])
                yield f'<li><a href="#facts-{numbers[other]}">{escape(text)}</a></li>'
            yield "</ul>"
    yield "</section>"


def _first_line(graph: Graph, node_id: str) -> list[str]:
    return labels.summary(graph.nodes[node_id], COLUMNS)[:1]


def _style_of(name: str, heading: str) -> str:
    is_hash = heading in ("Read", "Wrote") or name in (
        "DVC hash",
        "Signature",
        "Run id",
        "Commit",
        "Checksum",
        "Confirmed by",
        "Evaluated on",
        "Command",
    )
    return ' class="hash"' if is_hash else ""
