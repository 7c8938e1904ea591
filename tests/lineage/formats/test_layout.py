"""Where boxes and arrows go."""

import os
import random
import subprocess
import sys
from itertools import combinations, pairwise

import pytest

from lineage.formats.layout import HEIGHT, WIDTH, Layout, layout

Edges = list[tuple[str, str]]


def some_graph(seed: int) -> tuple[list[str], Edges]:
    """An acyclic graph of up to 60 nodes in several parts."""
    chance = random.Random(seed)
    count = chance.randrange(1, 60)
    edges = [
        (str(source), str(target))
        for source, target in combinations(range(count), 2)
        if target - source < 12 and chance.random() < 0.12
    ]
    return [str(number) for number in range(count)], edges


def overlapping(drawing: Layout) -> list[tuple[str, str]]:
    return [
        (one, other)
        for (one, (x, y)), (other, (u, v)) in combinations(drawing.boxes.items(), 2)
        if abs(x - u) < WIDTH and abs(y - v) < HEIGHT
    ]


@pytest.mark.parametrize("is_down", [True, False])
# The last five are graphs of which grandalf by itself draws boxes on top of each other.
@pytest.mark.parametrize("seed", [*range(20), 52, 56, 69, 93, 105])
def test_boxes_never_overlap_and_lie_inside(seed: int, is_down: bool) -> None:
    nodes, edges = some_graph(seed)
    drawing = layout(nodes, edges, is_down=is_down)
    assert set(drawing.boxes) == set(nodes)
    assert not overlapping(drawing)
    for x, y in drawing.boxes.values():
        assert 0 <= x <= drawing.width - WIDTH
        assert 0 <= y <= drawing.height - HEIGHT


@pytest.mark.parametrize("is_down", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_arrows_go_one_way_from_box_to_box(seed: int, is_down: bool) -> None:
    nodes, edges = some_graph(seed)
    drawing = layout(nodes, edges, is_down=is_down)
    assert set(drawing.arrows) == set(edges)
    for (source, target), points in drawing.arrows.items():
        (x, y), (u, v) = drawing.boxes[source], drawing.boxes[target]
        start, end = points[0], points[-1]
        if is_down:
            assert start[1] == y + HEIGHT
            assert end[1] == v
            assert x < start[0] < x + WIDTH
            assert u < end[0] < u + WIDTH
        else:
            assert start[0] == x + WIDTH
            assert end[0] == u
            assert y < start[1] < y + HEIGHT
            assert v < end[1] < v + HEIGHT
        along = [point[1 if is_down else 0] for point in points]
        assert all(before <= after for before, after in pairwise(along))


def test_ends_of_arrows_at_one_box_are_apart() -> None:
    drawing = layout("abcd", [("a", "d"), ("b", "d"), ("c", "d")], is_down=True)
    ends = {points[-1] for points in drawing.arrows.values()}
    assert len(ends) == 3


def test_the_same_graph_is_drawn_the_same_by_every_process() -> None:
    # grandalf by itself orders parts by memory addresses.
    script = (
        "from tests.lineage.formats.test_layout import some_graph\n"
        "from lineage.formats.layout import layout\n"
        "[print(layout(*some_graph(seed), is_down=False)) for seed in range(5)]"
    )
    drawn = {
        subprocess.run(
            [sys.executable, "-c", f"{'x = [object()] * 9;' * times}\n{script}"],
            env={**os.environ, "PYTHONHASHSEED": str(times)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for times in (1, 2)
    }
    assert len(drawn) == 1


def test_a_graph_of_nothing_has_no_boxes() -> None:
    drawing = layout([], [], is_down=True)
    assert not drawing.boxes
    assert not drawing.arrows


@pytest.mark.parametrize("is_down", [True, False])
def test_a_circle_is_drawn_too(is_down: bool) -> None:
    # Of two revisions, one may make from b what the other made b from, to the byte.
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a"), ("d", "e")]
    drawing = layout("abcde", edges, is_down=is_down)
    assert set(drawing.arrows) == set(edges)
    assert not overlapping(drawing)
