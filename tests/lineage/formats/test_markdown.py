"""Text in Markdown, read by another parser of it."""

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from lineage.formats.markdown import amounts, code, escaped, section, sentence
from lineage.words import visible
from tests.lineage.formats.conftest import NAMES

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

LINKED = re.compile(
    r"@\w|#\d|\bGH-\d|:\w+:|://|www\.",
    re.IGNORECASE,
)
"""What GitHub makes a mention, an issue, an emoji or an address of, in plain text."""


class Page(HTMLParser):
    """Elements; texts, each as GitHub looks through it; and what of it is in code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.codes: list[str] = []
        self.cells: list[str] = []
        self.feed(READER.render(text))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.tags.append("!")

    def handle_data(self, data: str) -> None:
        if self.tags.count("code") > self.tags.count("/code"):
            self.codes[-1] += data
        else:
            self.texts.append(data)
        if self.tags.count("td") > self.tags.count("/td"):
            self.cells[-1] += data


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_escaped_text_is_shown_as_it_is_and_links_nothing(name: str) -> None:
    page = Page(f"It is {escaped(name)}.")
    assert set(page.tags) <= {"p", "/p", "!"}
    shown = " ".join("".join(page.texts).split())
    assert shown == " ".join(f"It is {visible(name)}.".split())
    assert [text for text in page.texts if LINKED.search(text)] == []


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_code_is_shown_as_it_is(name: str) -> None:
    page = Page(f"It is {code(name)}.")
    assert page.tags == ["p", "code", "/code", "/p"]
    assert page.codes == [visible(name)]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("form", [code, escaped, amounts], ids=lambda form: form.__name__)
def test_a_cell_is_one_cell(name: str, form) -> None:
    cell = form(name, None) if form is amounts else form(name)
    page = Page(section("Names", ("one", "other"), [(cell, "last")]))
    assert [each for each in page.cells if each == "last"] == ["last"]
    assert page.cells.index("last") == 3
    assert " ".join(page.cells[2].split()) == " ".join(visible(name).split())


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_sentence_with_a_name_links_nothing(name: str) -> None:
    page = Page(sentence(f"{name} is not what it seems: run `dvc repro`."))
    assert not {"a", "img", "script", "em", "strong", "s"} & set(page.tags)
    assert [text for text in page.texts if LINKED.search(text)] == []
