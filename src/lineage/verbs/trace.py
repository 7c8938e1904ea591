"""Upstream: what a thing was made of, down to where its bytes came from."""

from typing import TYPE_CHECKING

from lineage.errors import bare_url
from lineage.identity import DataId
from lineage.join.graph import Graph, GraphBuilder, OriginNode
from lineage.join.knowledge import Knowledge, Known
from lineage.join.reference import DataRef, ModelRef, RevisionRef, RunRef, Subject, resolve_ref
from lineage.project import Project
from lineage.repository.commits import Commit
from lineage.repository.snapshot import Snapshot
from lineage.repository.whose import Whose
from lineage.tracking.dataset_inputs import fetched_by
from lineage.tracking.executions import NO_PIPELINE
from lineage.tracking.facts import VersionNode
from lineage.tracking.producer import is_sound

if TYPE_CHECKING:
    from mlflow.entities import Run


def trace(project: Project, ref: str) -> Graph:
    """Everything upstream of a REF: runs, dataset versions, archives.

    Raises:
        LineageError: If the REF means nothing, or more than one thing.
    """
    return upstream(project, resolve_ref(project, ref))


def upstream(project: Project, subject: Subject) -> Graph:
    """Everything upstream of a thing.

    Where several executions came to the same bytes, the one that stands in the lock of the
    revision that is asked about is followed, else in the same lock as who read them, else the
    one that ran first.
    """
    walk = _Upstream(project)
    match subject:
        case ModelRef(version):
            roots = [walk.version(version)]
        case RunRef(run):
            roots = [walk.execution(walk.knowledge.of_run(run))]
        case DataRef(digest, paths, commit):
            snapshot = walk.asked_about(commit) if commit else None
            roots = [walk.data(DataId(path, digest), snapshot) for path in paths]
        case RevisionRef(name, commit):
            snapshot = walk.asked_about(commit)
            if not snapshot.data:
                walk.builder.warn(f"{name} records no data: it has no dvc.lock and no .dvc file.")
            roots = [walk.execution(known, snapshot) for known in walk.knowledge.at(commit)]
            roots += [walk.data(each.item.id, snapshot) for each in snapshot.added]
    for warning in project.warnings:
        walk.builder.warn(warning)
    return walk.builder.graph(roots)


class _Upstream:
    def __init__(self, project: Project) -> None:
        self.builder = GraphBuilder()
        self.knowledge = Knowledge(project)
        self._project = project
        self._asked: Snapshot | None = None
        self._done: set[str] = set()
        self._prepared: set[str] = set()

    def asked_about(self, commit: Commit) -> Snapshot:
        """Follow from now on what the locks of this revision hold, before what others do."""
        self._asked = self._project.history.snapshot(commit)
        return self._asked

    def version(self, version: VersionNode) -> str:
        node = self.builder.add(version)
        run = self._project.runs.find(version.run_id) if version.run_id else None
        if not version.hash and run and self._project.runs.execution(run):
            self.builder.link(self.execution(self.knowledge.of_run(run)), node)
            return node
        if not version.hash:
            self.builder.warn(
                f"{version.id} was registered without its DVC hash, so that nothing upstream of it"
                " is known; `lineage sync` registers what dvc.lock has."
            )
            return node
        maker = self.knowledge.maker(version)
        if maker:
            paths = [each.path for each in maker.execution.written if each.hash == version.hash]
        else:
            paths = self.knowledge.paths_of(version.hash)
        for path in paths:
            self.builder.link(self.data(DataId(path, version.hash), None, maker), node)
        if version.run_id and (run is None or run.info.lifecycle_stage == "deleted"):
            self._gone(version, run)
        if not paths:
            self._declared(version, node)
        return node

    def data(
        self, data: DataId, snapshot: Snapshot | None = None, maker: Known | None = None
    ) -> str:
        """Add bytes and all that is upstream of them.

        Args:
            data: The bytes.
            snapshot: The revision that they were met in, which knows best who wrote them.
            maker: Who wrote them, where that is known.
        """
        node = str(data)
        if node in self._done:
            return node
        self._done.add(node)
        holding = next(
            (each for each in (self._asked, snapshot) if each and each.writer(data)), None
        )
        producer, others = self._producer(data, holding)
        producer = maker or producer
        item = snapshot.item(data.path) if snapshot else None
        self.builder.add(self.knowledge.data(data, item, others))
        if producer:
            self.builder.link(self.execution(producer, holding), node)
        else:
            self._sources(data, snapshot)
        return node

    def execution(self, known: Known, snapshot: Snapshot | None = None) -> str:
        """Add an execution and all that is upstream of it.

        Args:
            known: The execution.
            snapshot: A revision that holds it; the oldest by default.
        """
        found = self.knowledge.execution(known)
        if found.id in self._done:
            return found.id
        self._done.add(found.id)
        node = self.builder.add(found)
        snapshot = snapshot or self.knowledge.snapshot(known)
        is_first = True
        read = [
            data for data in known.execution.read if not self.knowledge.is_code(known, data.path)
        ]
        self.knowledge.prepare_writing(read)
        self._prepared.update(data.hash for data in read)
        for data in read:
            source = self.data(data, snapshot)
            self.builder.link(source, node)
            is_first = is_first and not self.builder.has_source(source)
        made_by = self.knowledge.resolution(known).producer
        if made_by is not None and known.execution.stage.pipeline != NO_PIPELINE:
            for dataset, url in fetched_by(made_by, self._project.passed):
                origin = OriginNode(dataset.name, bare_url(url), dataset.digest)
                self.builder.link(self.builder.add(origin), node)
        if is_first and found.run:
            for recorded in self._project.runs.origins(found.run.id):
                self.builder.link(self.builder.add(_origin(recorded)), node)
        return node

    def _producer(self, data: DataId, snapshot: Snapshot | None) -> tuple[Known | None, int]:
        """The execution to follow, and how many others came to the same bytes."""
        writer = snapshot.writer(data) if snapshot else None
        if writer:
            # Of what was asked for in bulk, the runs are there: no question for each execution.
            digest = data.hash if data.hash in self._prepared else ""
            return self.knowledge.writer(writer, digest), 0
        writing = [
            known for known in self.knowledge.writing(data.hash) if known.execution.wrote(data)
        ]
        return self._oldest(writing), max(len(writing) - 1, 0)

    def _oldest(self, writing: list[Known]) -> Known | None:
        """Of several that came to the same bytes, the first to run, or else to be committed.

        Those of this repository come before others that share the store.
        """

        def age(known: Known) -> tuple[int, int, float]:
            sound = [
                (self._project.runs.whose(run), run.info.start_time)
                for run in known.runs
                if is_sound(run)
            ]
            whose, start = min(sound, default=(Whose.STRANGERS, 0))
            if sound and whose is Whose.OURS:
                return Whose.OURS, 0, start
            if known.commits:
                return Whose.OURS, 1, known.commits[0].time.timestamp()
            return whose, 0 if sound else 2, start

        return min(writing, key=age, default=None)

    def _sources(self, data: DataId, snapshot: Snapshot | None) -> None:
        """What is upstream of bytes that no stage wrote as a whole."""
        history = self._project.history
        if snapshot is None:
            commits = history.containing(data.hash)
            snapshot = history.snapshot(commits[0]) if commits else None
        if snapshot is None:
            return
        for added in snapshot.added:
            if added.item.id == data:
                url = added.url or added.file
                origin = OriginNode(data.path, url, added.checksum, added.item.size_bytes)
                self.builder.link(self.builder.add(origin), str(data))
                return
        # What the stage read may be older than what stands beside it in the same lock.
        near = [snapshot, *map(history.snapshot, history.containing(data.hash))]
        overlapping = [item.id for each in near for item in each.overlapping(data.path)]
        candidates = [each for each in dict.fromkeys(overlapping) if each.hash]
        if not candidates:
            return
        belonging, unknown = self._project.parts.belong(data, candidates)
        taken = {part.path: part for part in reversed(belonging)}  # the nearest of one path
        for part in taken.values():
            self.builder.link(self.data(part, snapshot), str(data))
        if not taken and unknown:
            self.builder.warn(
                f"whether {data.path} ({data.hash}) belongs to {unknown[0].path} cannot be told,"
                " so that nothing upstream of it is known: the listing of the folder is neither in"
                " the DVC cache nor in the remote; `dvc push --all-commits` where it is brings it."
            )

    def _gone(self, version: VersionNode, run: "Run | None") -> None:
        what = "was deleted in MLflow" if run else "is gone from MLflow"
        hint = (
            f"; `mlflow runs restore --run-id {version.run_id}` brings it back"
            if run
            else "; `lineage sync` writes down what dvc.lock knows"
        )
        self.builder.warn(f"the run {version.run_id} that made {version.id} {what}{hint}.")

    def _declared(self, version: VersionNode, node: str) -> None:
        """For a version whose run and lock are gone: the data that its own tags name."""
        for path, digest in version.data.items():
            self.builder.link(self.data(DataId(path, digest)), node)
        if not version.data:
            self.builder.warn(
                f"{version.id} is made of {version.hash}, which no run of this store and no"
                " revision of this repository wrote: it comes from another repository or store."
            )


def _origin(recorded: dict[str, object]) -> OriginNode:
    size = recorded.get("size_bytes")
    return OriginNode(
        str(recorded.get("name", "")),
        bare_url(str(recorded.get("url", ""))),
        str(recorded.get("checksum", "")),
        size if isinstance(size, int) else None,
    )
