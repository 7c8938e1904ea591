"""Downstream: everything that some bytes, a run or a commit reached."""

from enum import Flag

from lineage.identity import DataId
from lineage.join.graph import DataNode, Graph, GraphBuilder, execution_id
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import DataRef, ModelRef, RevisionRef, RunRef, resolve_ref
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.repository.snapshot import overlap
from lineage.tracking.facts import VersionNode


def impact(project: Project, ref: str) -> Graph:
    """Everything downstream of a REF: runs, data, model versions and their aliases.

    A commit reached what ran on it, and what was made of the data that it was the first to
    record.

    Raises:
        LineageError: If the REF means nothing, or more than one thing.
    """
    walk = _Downstream(project)
    subject = resolve_ref(project, ref)
    match subject:
        case ModelRef(version):
            roots = [walk.version(version)]
        case RunRef(run):
            roots = [walk.execution(walk.knowledge.of_run(run))]
        case DataRef(digest, paths, _):
            roots = [walk.data(DataId(path, digest)) for path in paths]
        case RevisionRef(_, commit):
            roots = walk.commit(commit)
    # What was asked about by itself may be code, what runs and revisions have is data.
    walk.walk(is_data=not isinstance(subject, DataRef))
    for warning in project.warnings:
        walk.builder.warn(warning)
    return walk.builder.graph(dict.fromkeys(roots))


class _Way(Flag):
    """Where from some bytes to go on to others that hold them, or are part of them."""

    AROUND = 1
    INSIDE = 2
    BOTH = 3


class _Downstream:
    """A walk in steps: all bytes that one step made are looked up together in the next."""

    def __init__(self, project: Project) -> None:
        self.builder = GraphBuilder()
        self.knowledge = Knowledge(project)
        self._project = project
        self._waiting: dict[DataId, None] = {}
        self._ways: dict[DataId, _Way] = {}

    def commit(self, commit: Commit) -> list[str]:
        """Add what ran on a commit, and the data that it was the first to record."""
        history = self._project.history
        parents = [
            history.commits.by_id[parent]
            for parent in commit.parents
            if parent in history.commits.by_id
        ]
        before = {item.id for parent in parents for item in history.snapshot(parent).data}
        runs = self._project.runs.at_commit(commit.id) if commit.id else []
        stages = [run for run in runs if self._project.runs.execution(run)]
        ran = [self.knowledge.of_run(run) for run in stages]
        recorded = [item.id for item in history.snapshot(commit).data]
        return [self.execution(known) for known in ran] + [
            self.data(data) for data in recorded if data not in before
        ]

    def version(self, version: VersionNode) -> str:
        """Add a model version, and its model's files."""
        for path in self.knowledge.paths_of(version.hash):
            self.data(DataId(path, version.hash))
        return self.builder.add(version)

    def data(self, data: DataId, way: _Way = _Way.BOTH) -> str:
        """Add some bytes, whose readers are looked up later.

        From a part to what holds it and down again would lead to its neighbours.
        """
        ways = self._ways.get(data, _Way(0))
        if way not in ways:
            self.builder.add(self.knowledge.data(data))
            self._ways[data] = ways | way
            self._waiting[data] = None
        return str(data)

    def execution(self, known: Known) -> str:
        """Add an execution and what it wrote."""
        is_new = execution_id(known.execution) not in self.builder.nodes
        node = self.builder.add(self.knowledge.execution(known)) if is_new else ""
        for data in known.execution.written if is_new else ():
            if data.hash:
                self.builder.link(node, self.data(data))
        for run in known.runs if is_new else ():
            # A user's own model has no DVC hash, but a run.
            for version in self._project.registry.of_run(run.info.run_id):
                self.builder.link(node, self.builder.add(version))
        return node or execution_id(known.execution)

    def walk(self, *, is_data: bool) -> None:
        """Follow all that was added to everything that it reached.

        Args:
            is_data: Whether DVC keeps it, and not git.
        """
        while self._waiting:
            step, self._waiting = self._waiting, {}
            if is_data:
                self._project.runs.prepare({data.hash for data in step})
            is_data = True  # what runs wrote
            for data in step:
                self._follow(data)
        self._versions_without_runs()

    def _follow(self, data: DataId) -> None:
        node = str(data)
        for known in self.knowledge.reading(data.hash):
            if known.only_copied(data):
                continue
            names = known.names_read(data.hash)
            # Under another name, these are the same bytes all the same.
            same = [str(DataId(name, data.hash)) for name in names]
            if data.path in names or not any(each in self.builder.nodes for each in same):
                self.builder.link(node, self.execution(known))
        for other in self._overlapping(data):
            self.builder.link(node, self.data(other, _way(data, other)))
        for version in self._project.registry.made_of(data.hash):
            self.builder.link(node, self.builder.add(version))

    def _overlapping(self, data: DataId) -> list[DataId]:
        """Dependencies that are part of these bytes, or that these bytes are part of."""
        history = self._project.history
        read = dict.fromkeys(
            dep.id
            for commit in history.containing(data.hash)
            for stage in history.snapshot(commit).stages
            for dep in stage.deps
        )
        found = [
            each
            for each in read
            if each.path != data.path and each.hash and overlap(each.path, data.path)
            if _way(data, each) in self._ways[data]
        ]
        if not found:
            return []
        belonging, unknown = self._project.parts.belong(data, found)
        for other in unknown:
            self.builder.warn(
                f"whether {other.path} ({other.hash}) belongs to {data.path} ({data.hash}) cannot"
                " be told, so that what read it is left out: the listing of the folder is neither"
                " in the DVC cache nor in the remote."
            )
        return belonging

    def _versions_without_runs(self) -> None:
        """Versions whose own tags name data that was reached, where no run says so any more."""
        nodes = self.builder.nodes.items()
        reached = {node.hash: key for key, node in nodes if isinstance(node, DataNode)}
        for version in self._project.registry.versions:
            named = [digest for digest in version.data.values() if digest in reached]
            if not named or version.id in self.builder.nodes:
                continue
            node = self.builder.add(version)
            for digest in named:
                self.builder.link(reached[digest], node)
            self.builder.warn(
                f"{version.id} was made of {', '.join(named)}, as its own tags say; the run that"
                " made it is neither in this store nor in a lock of this repository."
            )


def _way(data: DataId, other: DataId) -> _Way:
    """Where the other lies, whose path overlaps with that of the data."""
    return _Way.INSIDE if other.is_inside(data) else _Way.AROUND
