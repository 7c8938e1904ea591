"""A graph as text that other programs draw, show or take in."""

from lineage.join.graph import Graph

FORMATS = ("mermaid", "dot", "html", "openlineage")


def render(graph: Graph, format: str, *, namespace: str) -> str:  # noqa: A002 - its name in the CLI
    """The graph in one of the `FORMATS`.

    Args:
        graph: What to show.
        format: One of `FORMATS`.
        namespace: Under which OpenLineage files stages and data, such as the URL of the git
            repository; the other formats have no use for it.

    Returns:
        Text that ends with a newline: for ``openlineage`` one event, as JSON, a line, which is
        none at all for a graph without executions.

    Raises:
        LineageError: If the graph is too large for the format.
    """
    # Each is imported where it is asked for: the client of OpenLineage alone takes 0.3 s.
    match format:
        case "mermaid":
            from lineage.formats.mermaid import mermaid

            return mermaid(graph)
        case "dot":
            from lineage.formats.dot import dot

            return dot(graph)
        case "html":
            from lineage.formats.html import html

            return html(graph)
        case "openlineage":
            from lineage.formats.openlineage import ndjson

            return ndjson(graph, namespace=namespace)
    raise ValueError(f"{format!r} is none of {', '.join(FORMATS)}")
