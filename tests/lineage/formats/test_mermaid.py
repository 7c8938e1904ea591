"""A graph as a Mermaid flowchart."""

import re
import textwrap

import pytest

from lineage.errors import LineageError
from lineage.formats import labels
from lineage.formats.mermaid import COLUMNS, mermaid
from lineage.join.graph import DataNode, Graph, GraphBuilder
from tests.lineage.formats.conftest import DOWNLOAD, VERSION

NODE = re.compile(r"  (\w+)(\[\(|\(\[|\{\{|\[)\"([^\"]*)\"(\)\]|\]\)|\}\}|\]):::(\w+)")
EDGE = re.compile(r"  (n\d+) -->(?:\|\"([^\"]*)\"\|)? (n\d+)")
STYLE = re.compile(r"  (?:classDef|class) [\w,]+ [\w:#,\- ]+")
SHAPES = {"data": "[( )]", "execution": "[ ]", "version": "{{ }}", "origin": "([ ])"}


def decoded(label: str) -> list[str]:
    """Lines of a label, as Mermaid shows them."""
    lines = label.split("<br/>")
    codes = [re.sub(r"#(\d+);", lambda code: chr(int(code[1])), line) for line in lines]
    return [line.replace("\u2060", "") for line in codes]


def parsed(text: str) -> tuple[dict[str, re.Match], list[tuple[str, str, str]], list[str]]:
    """Nodes by id, edges, and styles; every line is one of these."""
    init, head, *lines = text.splitlines()
    assert init.startswith("%%{init:")
    assert head == "flowchart TB"
    nodes, edges, styles = {}, [], []
    for line in lines:
        if node := NODE.fullmatch(line):
            nodes[node[1]] = node
        elif edge := EDGE.fullmatch(line):
            edges.append((edge[1], edge[2] or "", edge[3]))
        else:
            assert STYLE.fullmatch(line), line
            styles.append(line.strip())
    return nodes, edges, styles


@pytest.mark.parametrize("name", ["typical", "hostile", "empty"])
def test_nodes_have_the_shape_of_their_type_and_say_what_is_said_of_them(
    name: str, request: pytest.FixtureRequest
) -> None:
    graph: Graph = request.getfixturevalue(name)
    nodes, _, _ = parsed(mermaid(graph))
    shown = [node for key, node in nodes.items() if key.startswith("n")]
    for match, node in zip(shown, graph.nodes.values(), strict=True):
        title = labels.elided(labels.title(node), COLUMNS)
        assert decoded(match[3]) == [title, *labels.summary(node, COLUMNS)]
        assert f"{match[2]} {match[4]}" == SHAPES[labels.type_of(node)]
        assert match[5] == labels.type_of(node)


@pytest.mark.parametrize("name", ["typical", "hostile"])
def test_labels_hold_nothing_that_means_anything(name: str, request: pytest.FixtureRequest) -> None:
    nodes, edges, _ = parsed(mermaid(request.getfixturevalue(name)))
    for label in [node[3] for node in nodes.values()] + [label for _, label, _ in edges]:
        for line in label.split("<br/>"):
            assert not re.search(r"[\"<>&`*\[\](){}|;$\\:%]", re.sub(r"#\d+;", "", line))
            assert not re.match(r"\s*(\d+\.|-)", line)


def test_edges_carry_the_context(typical: Graph) -> None:
    _, edges, _ = parsed(mermaid(typical))
    ids = {f"n{number}": key for number, key in enumerate(typical.nodes)}
    assert [(ids[source], ids[target]) for source, _, target in edges] == list(typical.edges)
    assert [label for _, label, _ in edges if label] == ["training"]


def test_what_was_asked_for_and_what_is_doubtful_stand_out(typical: Graph) -> None:
    _, _, styles = parsed(mermaid(typical))
    ids = {key: f"n{number}" for number, key in enumerate(typical.nodes)}
    assert f"class {ids[VERSION.id]} root" in styles
    assert f"class {ids[DOWNLOAD.id]} doubtful" in styles


@pytest.mark.parametrize("name", ["typical", "hostile"])
def test_warnings_are_in_the_chart_as_a_whole(name: str, request: pytest.FixtureRequest) -> None:
    graph: Graph = request.getfixturevalue(name)
    nodes, _, _ = parsed(mermaid(graph))
    said = [decoded(node[3]) for node in nodes.values() if node[5] == "warning"]
    assert said == [textwrap.wrap(labels.visible(sentence), COLUMNS) for sentence in graph.warnings]


def star(rays: int, path: str = "data") -> Graph:
    builder = GraphBuilder()
    middle = builder.add(DataNode("raw", "0" * 32, "dataset"))
    for ray in range(rays):
        builder.link(middle, builder.add(DataNode(path, f"{ray:032}", "dataset")))
    return builder.graph([middle])


def test_a_chart_that_github_refuses_is_not_written() -> None:
    # Mermaid 11.17 draws 500 edges and refuses 501.
    assert len(mermaid(star(500))) < 50_000
    with pytest.raises(LineageError, match=r"502 nodes, 501 edges .* `--format html`"):
        mermaid(star(501))
    with pytest.raises(LineageError, match=r"301 edges and \d\d,\d{3} characters|characters"):
        mermaid(star(490, "😀" * 20))
