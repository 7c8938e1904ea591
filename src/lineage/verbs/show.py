"""One thing: what it is, what is next to it, and where its bytes are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lineage.join.graph import DataNode, Graph, GraphBuilder
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import DataRef, ModelRef, RevisionRef, RunRef, Subject, resolve_ref
from lineage.project import Project
from lineage.repository.items import Item
from lineage.storage.borrow import in_place
from lineage.storage.locate import Whereabouts, locate


@dataclass(frozen=True)
class Copies:
    """Where some bytes are.

    Attributes:
        workspace: Paths in the working tree that hold just these bytes.
        stored: In DVC's cache and remote.
        mlflow: What MLflow has of them: ids of logged models that were made of the files,
            and how many runs name them as a dataset.
    """

    workspace: tuple[str, ...]
    stored: Whereabouts
    mlflow: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workspace": list(self.workspace),
            "cache": self.stored.cache,
            "remote": self.stored.remote,
            "missing": list(self.stored.missing),
            "mlflow": dict(self.mlflow),
        }


@dataclass(frozen=True)
class Shown:
    """A thing and its neighbours.

    Attributes:
        subject: What the REF means.
        graph: The thing, or its parts, as roots; what is one step up and down.
        facts: Hash -> what MLflow's profile says of the content, such as images.
        places: Hash -> where these bytes are, for the data among the roots, or the files of
            the model.
    """

    subject: Subject
    graph: Graph
    facts: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, Copies]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what the answer cannot know."""
        return self.graph.warnings

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "subject": str(self.subject),
            **self.graph.as_dict(),
            "facts": {digest: dict(facts) for digest, facts in self.facts.items()},
            "places": {digest: place.as_dict() for digest, place in self.places.items()},
        }


def show(project: Project, ref: str) -> Shown:
    """One thing, its neighbours, and where it is.

    Raises:
        LineageError: If the REF means nothing, or more than one thing; if DVC's remote does
            not answer.
    """
    subject = resolve_ref(project, ref)
    near = _Neighbours(project)
    match subject:
        case DataRef(digest, paths, _):
            roots = [near.data(path, digest) for path in paths]
            located = {digest}
        case ModelRef(version):
            roots = [near.builder.add(version)]
            located = {version.hash} - {""}
            for path in near.knowledge.paths_of(version.hash):
                near.builder.link(near.data(path, version.hash), roots[0])
            if not version.hash and version.run_id:
                near.script(version.run_id, roots[0])
        case RunRef(run):
            roots = [near.execution(near.knowledge.of_run(run))]
            located = set(near.written)
        case RevisionRef(_, commit):
            roots = [near.execution(known) for known in near.knowledge.at(commit)]
            for added in project.history.snapshot(commit).added:
                node = near.knowledge.data(added.item.path, added.item.hash, added.item)
                roots.append(near.builder.add(node))
            located = {item.hash for item in project.history.snapshot(commit).data if item.hash}
    for warning in project.history.warnings:
        near.builder.warn(warning)
    graph = near.builder.graph(dict.fromkeys(roots))
    nodes = [node for node in graph.nodes.values() if isinstance(node, DataNode)]
    facts = project.runs.facts_of_content({node.hash for node in nodes})
    return Shown(subject, graph, facts, _places(project, nodes, located))


def _places(project: Project, nodes: Iterable[DataNode], digests: set[str]) -> dict[str, Copies]:
    workspace = project.workspace
    items = [
        Item(node.path, workspace.git_root / node.path, node.hash, node.kind, (), 0, 0)
        for node in nodes
        if node.hash in digests
    ]
    here = in_place(workspace, items)
    stored = locate(workspace, digests)
    return {
        digest: Copies(
            tuple(item.path for item in here if item.hash == digest),
            stored[digest],
            {
                "models": project.registry.logged(digest),
                "runs": len({run.info.run_id for run in project.runs.naming(digest)}),
            },
        )
        for digest in sorted(digests)
    }


class _Neighbours:
    """One step up and one step down."""

    def __init__(self, project: Project) -> None:
        self.builder = GraphBuilder()
        self.knowledge = Knowledge(project)
        self.written: list[str] = []
        self._project = project

    def data(self, path: str, digest: str) -> str:
        """Add bytes, every execution that made them, and every one that read them."""
        writing = [
            known
            for known in self.knowledge.writing(digest)
            if known.execution.outs.get(path) == digest
        ]
        node = self.builder.add(self.knowledge.data(path, digest, others=max(len(writing) - 1, 0)))
        for known in writing:
            self.builder.link(self.builder.add(self.knowledge.execution(known)), node)
        for known in self.knowledge.reading(digest):
            if known.names_read(digest) and not known.only_copied(path, digest):
                self.builder.link(node, self.builder.add(self.knowledge.execution(known)))
        for version in self._project.registry.made_of(digest):
            self.builder.link(node, self.builder.add(version))
        return node

    def execution(self, known: Known) -> str:
        """Add an execution, what it read and what it wrote."""
        node = self.builder.add(self.knowledge.execution(known))
        for path, digest in known.execution.deps.items():
            if not self.knowledge.is_code(known, path):
                source = self.builder.add(self.knowledge.data(path, digest))
                self.builder.link(source, node)
        for path, digest in known.execution.outs.items():
            self.written.append(digest)
            target = self.builder.add(self.knowledge.data(path, digest))
            self.builder.link(node, target)
            for version in self._project.registry.made_of(digest):
                self.builder.link(target, self.builder.add(version))
        for run in known.runs:
            for version in self._project.registry.of_run(run.info.run_id):
                self.builder.link(node, self.builder.add(version))
        return node

    def script(self, run_id: str, version: str) -> None:
        """Link a version of a user's own model, which has no DVC hash, to the run it came from."""
        run = self._project.runs.find(run_id)
        if run is not None and self._project.runs.execution(run):
            maker = self.knowledge.execution(self.knowledge.of_run(run))
            self.builder.link(self.builder.add(maker), version)
