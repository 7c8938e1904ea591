"""One thing: what it is, what is next to it, and where its bytes are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from lineage.answer import Answer, plain
from lineage.identity import DataId
from lineage.join.graph import DataNode, Graph, GraphBuilder
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import DataRef, ModelRef, RevisionRef, RunRef, Subject, resolve_ref
from lineage.project import Project
from lineage.storage.admit import is_hash
from lineage.storage.borrow import in_place
from lineage.storage.locate import Whereabouts, locate
from lineage.verbs.verify_data import unread


@dataclass(frozen=True)
class Copies(Answer):
    """Where some bytes are.

    Attributes:
        workspace: Paths in the working tree that hold just these bytes.
        stored: In DVC's cache and remote.
        mlflow: What MLflow has of them: ids of logged models that were made of the files,
            and how many runs name them as a dataset.
    """

    json_names: ClassVar[tuple[str, ...]] = (
        "workspace",
        "cache=stored.cache",
        "remote=stored.remote",
        "missing=stored.missing",
        "damaged=stored.damaged",
        "mlflow",
    )

    workspace: tuple[str, ...]
    stored: Whereabouts
    mlflow: Mapping[str, Any]


@dataclass(frozen=True)
class Shown(Answer):
    """A thing and its neighbours.

    Attributes:
        subject: What the REF means.
        graph: The thing, or its parts, as roots; what is one step up and down.
        facts: Hash -> what MLflow's profile says of the content, such as images.
        places: Hash -> where these bytes are, for the data among the roots, or the files of
            the model.
        skipped: A phrase for what was not checked of these bytes.
    """

    subject: Subject
    graph: Graph
    facts: Mapping[str, Mapping[str, Any]]
    places: Mapping[str, Copies]
    skipped: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what the answer cannot know."""
        return self.graph.warnings

    def as_dict(self, *_names: str) -> dict[str, Any]:
        """As JSON has it: the graph's own names beside those of what is known besides."""
        known = {
            "facts": plain(self.facts),
            "places": plain(self.places),
            "skipped": plain(self.skipped),
        }
        return {"subject": str(self.subject), **self.graph.as_dict(), **known}


def show(project: Project, ref: str, *, content: bool = False) -> Shown:
    """One thing, its neighbours, and where it is.

    Args:
        project: The repository and its tracking store.
        ref: What to show.
        content: Read all its bytes that are on this machine, whether they are what their hashes
            say.

    Raises:
        LineageError: If the REF means nothing, or more than one thing; if DVC's remote does
            not answer.
    """
    subject = resolve_ref(project, ref)
    near = _Neighbours(project)
    match subject:
        case DataRef(digest, paths, _):
            roots = [near.data(DataId(path, digest)) for path in paths]
            located = {digest}
        case ModelRef(version):
            roots = [near.builder.add(version)]
            located = {version.hash} - {""}
            for path in near.knowledge.paths_of(version.hash):
                near.builder.link(near.data(DataId(path, version.hash)), roots[0])
            if not version.hash and version.run_id:
                near.script(version.run_id, roots[0])
        case RunRef(run):
            roots = [near.execution(near.knowledge.of_run(run))]
            located = set(near.written)
        case RevisionRef(_, commit):
            roots = [near.execution(known) for known in near.knowledge.at(commit)]
            for added in project.history.snapshot(commit).added:
                roots.append(near.builder.add(near.knowledge.data(added.item.id, added.item)))
            located = {item.hash for item in project.history.snapshot(commit).data if item.hash}
    for warning in project.warnings:
        near.builder.warn(warning)
    located = {digest for digest in located if is_hash(digest)}
    stored = locate(project.workspace, located, content=content)
    for place in stored.values():
        if place.refused:
            near.builder.warn(place.refused)
    graph = near.builder.graph(dict.fromkeys(roots))
    nodes = [node for node in graph.nodes.values() if isinstance(node, DataNode)]
    facts = project.runs.facts_of_content({node.hash for node in nodes})
    wanted = [node.data for node in nodes if node.hash in located]
    wanted = [data for data in wanted if project.history.is_here(data)]
    here = in_place(project.workspace, wanted, content=content)
    skipped = tuple(unread(stored.values(), content=content))
    return Shown(subject, graph, facts, _places(project, here, stored), skipped)


def _places(
    project: Project, here: Iterable[DataId], stored: Mapping[str, Whereabouts]
) -> dict[str, Copies]:
    digests = stored.keys()
    project.registry.ask_for_logged(digests)
    project.runs.ask_for_naming(digests)
    return {
        digest: Copies(
            tuple(data.path for data in here if data.hash == digest),
            stored[digest],
            {
                "models": project.registry.logged(digest),
                "runs": len({run.info.run_id for run in project.runs.naming(digest)}),
            },
        )
        for digest in sorted(stored)
    }


class _Neighbours:
    """One step up and one step down."""

    def __init__(self, project: Project) -> None:
        self.builder = GraphBuilder()
        self.knowledge = Knowledge(project)
        self.written: list[str] = []
        self._project = project

    def data(self, data: DataId) -> str:
        """Add bytes, every execution that made them, and every one that read them."""
        writing = [
            known for known in self.knowledge.writing(data.hash) if known.execution.wrote(data)
        ]
        node = self.builder.add(self.knowledge.data(data, others=max(len(writing) - 1, 0)))
        for known in writing:
            self.builder.link(self.builder.add(self.knowledge.execution(known)), node)
        for known in self.knowledge.reading(data.hash):
            if known.names_read(data.hash) and not known.only_copied(data):
                self.builder.link(node, self.builder.add(self.knowledge.execution(known)))
        for version in self._project.registry.made_of(data.hash):
            self.builder.link(node, self.builder.add(version))
        return node

    def execution(self, known: Known) -> str:
        """Add an execution, what it read and what it wrote."""
        node = self.builder.add(self.knowledge.execution(known))
        for data in known.execution.read:
            if not self.knowledge.is_code(known, data.path):
                self.builder.link(self.builder.add(self.knowledge.data(data)), node)
        for data in known.execution.written:
            self.written.append(data.hash)
            target = self.builder.add(self.knowledge.data(data))
            self.builder.link(node, target)
            for version in self._project.registry.made_of(data.hash):
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
