"""What stands in an answer, as plain values to compare."""

from mlflow.entities import Run

from lineage.join.graph import DataNode, ExecutionNode, Graph


def data_of(graph: Graph) -> set[tuple[str, str]]:
    """(path, hash) of all data in an answer."""
    return {(node.path, node.hash) for node in graph.nodes.values() if isinstance(node, DataNode)}


def versions_of(graph: Graph, path: str) -> set[str]:
    """The hashes under which a path is in an answer."""
    return {digest for name, digest in data_of(graph) if name == path}


def runs_of(graph: Graph) -> set[str]:
    """Ids of all runs in an answer, the confirmations too."""
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    return {run.id for node in nodes for run in (node.run, *node.confirmations) if run}


def shown(graph: Graph, stage: str) -> list[str]:
    """Ids of the runs that an answer shows for a stage, or a script of that name."""
    nodes = [node for node in graph.nodes.values() if isinstance(node, ExecutionNode)]
    return [each.run.id for each in nodes if each.run and each.execution.stage.name == stage]


def ids(*runs: Run) -> list[str]:
    """Their ids."""
    return [run.info.run_id for run in runs]
