"""A graph in the DOT language, read by another parser of it."""

import html

import pydot
import pytest

from lineage.formats import labels
from lineage.formats.dot import COLUMNS, dot
from lineage.join.graph import Graph
from tests.lineage.formats.conftest import DOWNLOAD, FIT, TRAIN, VERSION

# pydot 4.0.1 on the pyparsing that it resolves to.
pytestmark = pytest.mark.filterwarnings("ignore:.* deprecated - use:DeprecationWarning")


def parsed(text: str) -> pydot.Dot:
    (graph,) = pydot.graph_from_dot_data(text)
    return graph


def decoded(quoted: str) -> list[str]:
    """Lines of a string of DOT, as Graphviz shows them."""
    assert quoted[0] == quoted[-1] == '"'
    lines, text = [""], iter(quoted[1:-1])
    for letter in text:
        if letter != "\\":
            lines[-1] += letter
        elif (escaped := next(text)) == "n":
            lines.append("")
        else:
            assert escaped in '\\"'
            lines[-1] += escaped
    return [html.unescape(line).replace("\u2060", "") for line in lines]


@pytest.mark.parametrize("name", ["typical", "hostile", "empty"])
def test_every_node_says_what_is_said_of_it(name: str, request: pytest.FixtureRequest) -> None:
    graph: Graph = request.getfixturevalue(name)
    drawn = {
        node.get_name(): node.get_attributes()
        for node in parsed(dot(graph)).get_nodes()
        if node.get_name().startswith("n") and node.get_name() != "node"
    }
    assert list(drawn) == [f"n{number}" for number in range(len(graph.nodes))]
    for attributes, node in zip(drawn.values(), graph.nodes.values(), strict=True):
        title = labels.elided(labels.title(node), COLUMNS)
        assert decoded(attributes["label"]) == [title, *labels.summary(node, COLUMNS)]
        assert decoded(attributes["tooltip"]) == [
            f"{fact}: {value}" for fact, value in labels.facts(node)[""].items()
        ]


def test_edges_carry_the_context(typical: Graph) -> None:
    ids = {f"n{number}": key for number, key in enumerate(typical.nodes)}
    edges = parsed(dot(typical)).get_edges()
    assert [(ids[e.get_source()], ids[e.get_destination()]) for e in edges] == list(typical.edges)
    assert [e.get_label() for e in edges if e.get_label()] == ['"training"']


def test_types_roots_and_doubts_look_different(typical: Graph) -> None:
    drawn = parsed(dot(typical))
    numbers = {key: f"n{number}" for number, key in enumerate(typical.nodes)}

    def look(key: str, attribute: str) -> str | None:
        return drawn.get_node(numbers[key])[0].get_attributes().get(attribute)

    shapes = [look(key, "shape") for key in (TRAIN.id, FIT.id, VERSION.id)]
    assert shapes == ["cylinder", "box", "hexagon"]
    assert look(VERSION.id, "penwidth") == "3"
    assert look(FIT.id, "penwidth") is None
    assert "dashed" in (look(DOWNLOAD.id, "style") or "")


def test_warnings_stand_above_the_graph(typical: Graph, hostile: Graph) -> None:
    (sentence,) = typical.warnings
    assert f'label="{sentence}"' in dot(typical)
    assert "is not what it seems." in dot(hostile)
