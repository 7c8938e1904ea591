"""Where the boxes and arrows of a graph go: in layers, along the arrows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from grandalf.graphs import Edge, Vertex, graph_core
from grandalf.layouts import SugiyamaLayout

WIDTH, HEIGHT = 262, 64
"""Of a box, in pixels; so are all lengths here."""

LANE = 10
"""Room that a long arrow takes in the layers that it crosses."""

MARGIN = 24
ROUNDS = 4
"""Of reordering layers to have fewer crossings; more hardly ever find a better order."""

Point = tuple[float, float]
Link = tuple[str, str]


@dataclass(frozen=True)
class Layout:
    """A drawing, without what stands in the boxes.

    Attributes:
        is_down: Whether arrows go down; else they go to the right.
        width: Of the whole drawing.
        height: Of the whole drawing.
        boxes: Node -> its top left corner.
        arrows: Edge -> points on its way, from the source's side to the target's. From the
            second to the third, the fourth to the fifth and so on it runs straight along its
            direction; between the others it may be curved.
    """

    is_down: bool
    width: float
    height: float
    boxes: Mapping[str, Point]
    arrows: Mapping[Link, Sequence[Point]]


@dataclass(frozen=True)
class _Sizes:
    """Lengths across and along the arrows. Points, too, are (across, along) in here."""

    across: float
    along: float
    gap_across: float
    gap_along: float


@dataclass
class _Place:
    """What grandalf asks of a vertex; ``xy`` is the middle."""

    w: float
    h: float
    xy: Point = (0, 0)


@dataclass
class _Drawing:
    """Corners of boxes, and the lanes of arrows that cross layers."""

    boxes: dict[str, Point] = field(default_factory=dict)
    lanes: dict[Link, list[Point]] = field(default_factory=dict)


DOWN = _Sizes(WIDTH, HEIGHT, gap_across=28, gap_along=40)
RIGHT = _Sizes(HEIGHT, WIDTH, gap_across=22, gap_along=84)


def layout(nodes: Iterable[str], edges: Sequence[Link], *, is_down: bool) -> Layout:
    """Place the nodes; equal arguments always give the same layout."""
    sizes = DOWN if is_down else RIGHT
    drawing = _Drawing()
    beside = float(MARGIN)
    for members, inner in _components(list(nodes), edges):
        part = _placed(members, inner, sizes)
        left = min(across for across, _ in part.boxes.values())
        drawing.boxes |= {
            node: (across - left + beside, along + MARGIN)
            for node, (across, along) in part.boxes.items()
        }
        drawing.lanes |= {
            edge: [(across - left + beside, along + MARGIN) for across, along in points]
            for edge, points in part.lanes.items()
        }
        beside = max(drawing.boxes[node][0] for node in members) + sizes.across
        beside += 2 * sizes.gap_across
    across = max((each[0] for each in drawing.boxes.values()), default=0) + sizes.across + MARGIN
    along = max((each[1] for each in drawing.boxes.values()), default=0) + sizes.along + MARGIN
    arrows = _arrows(drawing, sizes)
    if is_down:
        return Layout(is_down, across, along, drawing.boxes, arrows)
    boxes = {node: (y, x) for node, (x, y) in drawing.boxes.items()}
    return Layout(
        is_down, along, across, boxes, {edge: [(y, x) for x, y in arrows[edge]] for edge in arrows}
    )


def _components(
    nodes: Sequence[str], edges: Sequence[Link]
) -> Iterator[tuple[list[str], list[Link]]]:
    """Parts that no edge joins, each with its edges, in the order of the nodes.

    grandalf finds them too, but in an order that memory addresses decide.
    """
    neighbours: dict[str, list[str]] = {node: [] for node in nodes}
    for source, target in edges:
        neighbours[source].append(target)
        neighbours[target].append(source)
    part_of: dict[str, str] = {}
    for first in nodes:
        waiting = [] if first in part_of else [first]
        while waiting:
            node = waiting.pop()
            if node not in part_of:
                part_of[node] = first
                waiting += neighbours[node]
    members: dict[str, list[str]] = defaultdict(list)
    inner: dict[str, list[Link]] = defaultdict(list)
    for node in nodes:
        members[part_of[node]].append(node)
    for edge in edges:
        inner[part_of[edge[0]]].append(edge)
    for first in members:
        yield members[first], inner[first]


def _placed(nodes: Sequence[str], edges: Sequence[Link], sizes: _Sizes) -> _Drawing:
    """Draw connected nodes."""
    if not edges:
        return _Drawing(dict.fromkeys(nodes, (0, 0)))
    vertices = {node: Vertex(node) for node in nodes}
    for vertex in vertices.values():
        vertex.view = _Place(sizes.across, sizes.along)
    links = {edge: Edge(vertices[edge[0]], vertices[edge[1]]) for edge in edges}
    sugiyama = SugiyamaLayout(graph_core(list(vertices.values()), list(links.values())))
    sugiyama.xspace, sugiyama.yspace = sizes.gap_across, sizes.gap_along
    sugiyama.dw, sugiyama.dh = LANE, sizes.along
    sugiyama.init_all(optimize=True)
    sugiyama.draw(ROUNDS)
    for layer in sugiyama.layers:
        _part(layer, sizes.gap_across)
    middles = {node: vertex.view.xy for node, vertex in vertices.items()}
    return _Drawing(
        {node: (x - sizes.across / 2, y - sizes.along / 2) for node, (x, y) in middles.items()},
        {edge: _lanes(sugiyama, link, sizes) for edge, link in links.items()},
    )


def _part(layer: Sequence[Vertex], gap: float) -> None:
    """Push boxes apart: grandalf leaves some of them, though few, on top of each other."""
    for before, after in pairwise(layer):
        (x, _), (own, y) = before.view.xy, after.view.xy
        after.view.xy = (max(own, x + (before.view.w + after.view.w) / 2 + gap), y)


def _lanes(sugiyama: SugiyamaLayout, link: Edge, sizes: _Sizes) -> list[Point]:
    first, last = (sugiyama.grx[vertex].rank for vertex in link.v)
    middles = (sugiyama.ctrls[link][rank].view.xy for rank in range(first + 1, last))
    return [(x, y + side * sizes.along / 2) for x, y in middles for side in (-1, 1)]


def _arrows(drawing: _Drawing, sizes: _Sizes) -> dict[Link, list[Point]]:
    """Give each arrow an end of its own on a box's side, in the order of where it goes."""
    boxes = drawing.boxes
    leaving: dict[str, list[tuple[float, Link]]] = defaultdict(list)
    arriving: dict[str, list[tuple[float, Link]]] = defaultdict(list)
    for edge, points in drawing.lanes.items():
        source, target = edge
        leaving[source].append((points[0][0] if points else boxes[target][0], edge))
        arriving[target].append((points[-1][0] if points else boxes[source][0], edge))
    starts = {
        edge: end for node in leaving for edge, end in _ends(boxes[node], leaving[node], sizes)
    }
    stops = {
        edge: end for node in arriving for edge, end in _ends(boxes[node], arriving[node], sizes)
    }
    return {
        edge: [(starts[edge][0], starts[edge][1] + sizes.along), *points, stops[edge]]
        for edge, points in drawing.lanes.items()
    }


def _ends(
    corner: Point, edges: list[tuple[float, Link]], sizes: _Sizes
) -> Iterator[tuple[Link, Point]]:
    x, y = corner
    for number, (_, edge) in enumerate(sorted(edges), start=1):
        yield edge, (x + sizes.across * number / (len(edges) + 1), y)
