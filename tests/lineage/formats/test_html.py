"""A graph as a page that stands alone."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib import resources

import pytest

from lineage.formats import labels
from lineage.formats.html import COLUMNS, COLUMNS_OF_TITLE, html
from lineage.join.graph import DataNode, Graph, GraphBuilder
from tests.lineage.formats.conftest import DOWNLOAD, FIT, MODEL, TRAIN, VERSION

VOID = {"meta"}
ELEMENTS = {
    *("html", "head", "meta", "title", "style", "script", "body", "header", "main", "aside"),
    *("section", "div", "h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "a", "button"),
    *("svg", "defs", "marker", "path", "rect", "text"),
}


class Page(HTMLParser):
    """What a browser sees: elements, with the text that is directly in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.inside: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {name: value or "" for name, value in attrs}, [])
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1][2].append(data)
            for _, attributes, _ in self._open:
                if "id" in attributes:
                    self.inside.setdefault(attributes["id"], []).append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str], str]]:
        return [
            (attributes, "".join(text)) for name, attributes, text in self.elements if name == tag
        ]


def texts(page: Page, key: str) -> list[str]:
    return [text for text in page.inside[key] if text.strip("\n")]


@pytest.mark.parametrize("name", ["typical", "hostile"])
def test_each_box_and_each_panel_says_what_is_said_of_the_node(
    name: str, request: pytest.FixtureRequest
) -> None:
    graph: Graph = request.getfixturevalue(name)
    page = Page(html(graph))
    for number, node in enumerate(graph.nodes.values()):
        hover, *box = texts(page, f"node-{number}")
        own = labels.facts(node)[""]
        assert hover == "\n".join(f"{fact}: {value}" for fact, value in own.items())
        title = labels.elided(labels.title(node), COLUMNS_OF_TITLE)
        assert box == [title, *labels.summary(node, COLUMNS)]
        panel = texts(page, f"facts-{number}")
        assert panel[0] == labels.title(node)
        for rows in labels.facts(node).values():
            for fact, value in rows.items():
                assert fact in panel
                assert value in panel or not value


@pytest.mark.parametrize("name", ["typical", "hostile", "empty"])
def test_nothing_is_fetched_and_nothing_but_our_own_script_may_run(
    name: str, request: pytest.FixtureRequest
) -> None:
    page = Page(html(request.getfixturevalue(name)))
    files = resources.files("lineage.formats")
    script = files.joinpath("page.js").read_text(encoding="utf-8")
    style = files.joinpath("page.css").read_text(encoding="utf-8")
    assert {tag for tag, _, _ in page.elements} <= ELEMENTS
    assert page.all("script") == [({}, script)]
    assert page.all("style") == [({}, style)]
    ids = {attributes["id"] for _, attributes, _ in page.elements if "id" in attributes}
    for _, attributes, _ in page.elements:
        assert not {"src", "srcset", "style", "xlink:href"} & set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
        assert "href" not in attributes or attributes["href"] in {f"#{each}" for each in ids}
        assert set(re.findall(r"url\(([^)]*)\)", attributes.get("marker-end", ""))) <= {"#arrow"}
    assert set(re.findall(r"url\(([^)]*)\)", style)) <= {"#arrow-of-line"}
    assert "@import" not in style
    policy = next(
        attributes["content"]
        for attributes, _ in page.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )

    def digest(text: str) -> str:
        return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest(style)}';"
        f" script-src 'sha256-{digest(script)}'"
    )


def test_it_can_be_written_to_a_file_whatever_the_names(hostile: Graph) -> None:
    page = html(hostile)
    assert page.encode("utf-8").decode("utf-8") == page
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)


def test_arrows_join_the_right_boxes_with_their_context(typical: Graph) -> None:
    page = Page(html(typical))
    keys = {str(number): key for number, key in enumerate(typical.nodes)}
    drawn = [
        (keys[attributes["data-from"]], keys[attributes["data-to"]])
        for attributes, _ in page.all("path")
        if attributes.get("class") == "edge"
    ]
    assert drawn == list(typical.edges)
    (context,) = [each for each in page.all("text") if each[0]["class"] == "context"]
    assert context[1] == "training"
    assert keys[context[0]["data-from"]] == TRAIN.id
    assert keys[context[0]["data-to"]] == FIT.id


def test_what_was_asked_for_and_what_is_doubtful_stand_out(typical: Graph) -> None:
    looks = dict(zip(typical.nodes, ["" for _ in typical.nodes], strict=True))
    keys = list(typical.nodes)
    for attributes, _ in Page(html(typical)).all("a"):
        if attributes.get("id", "").startswith("node-"):
            looks[keys[int(attributes["id"].removeprefix("node-"))]] = attributes["class"]
    assert looks[VERSION.id] == "node version root"
    assert looks[DOWNLOAD.id] == "node execution doubtful"
    assert looks[MODEL.id] == "node data"


def test_panels_lead_to_the_neighbours(typical: Graph) -> None:
    page = html(typical)
    numbers = {key: number for number, key in enumerate(typical.nodes)}
    panel = page.split(f'<section id="facts-{numbers[TRAIN.id]}">')[1].split("</section>")[0]
    made_of, made_into = re.search(
        r"<h3>Made of</h3>(.*)<h3>Made into</h3>(.*)", panel, re.S
    ).groups()
    assert re.findall(r'href="#facts-(\d+)"', made_of) == [
        str(numbers[key]) for key in typical.upstream(TRAIN.id)
    ]
    assert re.findall(r'href="#facts-(\d+)"', made_into) == [
        str(numbers[key]) for key in typical.downstream(TRAIN.id)
    ]


def test_warnings_are_on_the_page(typical: Graph) -> None:
    page = Page(html(typical))
    assert typical.warnings[0] in [text for _, text in page.all("li")]


def test_deep_graphs_go_down_and_broad_ones_to_the_right(typical: Graph) -> None:
    broad = GraphBuilder()
    middle = broad.add(DataNode("raw", "0", "dataset"))
    for number in range(30):
        broad.link(middle, broad.add(DataNode("data", str(number), "dataset")))
    assert 'data-flow="down"' in html(typical)
    assert 'data-flow="right"' in html(broad.graph([middle]))


def test_an_empty_graph_says_so(empty: Graph) -> None:
    page = Page(html(empty))
    assert "There is nothing to show." in [text for _, text in page.all("p")]
    assert [text for _, text in page.all("h1")] == ["Lineage"]
