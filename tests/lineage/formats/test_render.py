"""One function for all formats."""

import json
import subprocess
import sys

import pytest

from lineage.formats import FORMATS, render
from lineage.join.graph import Graph


@pytest.mark.parametrize(
    ("format_name", "start"),
    [
        ("mermaid", "%%{init"),
        ("dot", "digraph lineage {"),
        ("html", "<!doctype html>"),
        ("openlineage", "{"),
    ],
)
def test_each_format_is_rendered_by_its_name(typical: Graph, format_name: str, start: str) -> None:
    text = render(typical, format_name, namespace="n")
    assert format_name in FORMATS
    assert text.startswith(start)
    assert text.endswith("\n")


def test_the_namespace_is_that_of_the_events(typical: Graph) -> None:
    for line in render(typical, "openlineage", namespace="urn:mine").splitlines():
        assert json.loads(line)["job"]["namespace"] == "urn:mine"


def test_a_format_that_does_not_exist_is_refused(typical: Graph) -> None:
    with pytest.raises(ValueError, match="'pdf' is none of mermaid, dot, html, openlineage"):
        render(typical, "pdf", namespace="n")


def test_drawing_imports_neither_mlflow_nor_dvc_nor_openlineage() -> None:
    script = (
        "import sys\n"
        "from lineage.formats import render\n"
        "from lineage.join.graph import GraphBuilder\n"
        "for name in ('mermaid', 'dot', 'html'):\n"
        "    render(GraphBuilder().graph([]), name, namespace='')\n"
        "print({'mlflow', 'dvc', 'openlineage', 'pygit2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"
