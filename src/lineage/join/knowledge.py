"""What git and MLflow together know of an execution: their join, by signatures and hashes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.errors import LineageError, without_secrets
from lineage.identity import DataId, Execution, canonical_json
from lineage.join.graph import DataNode, ExecutionNode
from lineage.project import Project
from lineage.recording.run_record import flat_params
from lineage.repository.commits import Commit
from lineage.repository.history import Locked
from lineage.repository.items import Item, Observed
from lineage.repository.snapshot import Snapshot
from lineage.tracking.executions import NO_PIPELINE
from lineage.tracking.facts import VersionNode, facts_of
from lineage.tracking.producer import Resolution, Status, find_producer, is_sound
from lineage.tracking.tags import DIGEST_LIMIT, SIGNATURE_AFTER

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class Known:
    """An execution, and who knows of it.

    Attributes:
        execution: Its identity.
        observed: As the oldest lock recorded it; None where only MLflow knows of it.
        commits: The revisions whose lock holds it, oldest first.
        runs: Those runs that are known already to have its signature; oldest first.
        is_one_run: Whether it is that of one run, under which something changed: another one with
            its signature and its outputs may be sound, but is not what was asked about.
    """

    execution: Execution
    observed: Observed | None
    commits: tuple[Commit, ...]
    runs: "tuple[Run, ...]"
    is_one_run: bool = False

    def names_read(self, digest: str) -> list[str]:
        """The paths under which the execution read these bytes."""
        return [path for path, read in self.execution.deps.items() if read == digest]

    def only_copied(self, data: DataId) -> bool:
        """Whether it wrote these bytes to their path, having read them under another name.

        It made this version, and was not reached by it.
        """
        return self.execution.wrote(data) and data.path not in self.execution.deps


class Knowledge:
    """Answers about single things of a project."""

    def __init__(self, project: Project) -> None:
        self._history = project.history
        self._runs = project.runs

    def writing(self, digest: str) -> list[Known]:
        """Executions that wrote these bytes, to whatever path."""
        return self._joined(self._history.writing(digest), self._runs.writing(digest))

    def reading(self, digest: str) -> list[Known]:
        """Executions that read these bytes, or something that holds or is part of them."""
        return self._joined(self._history.reading(digest), self._runs.reading(digest))

    def writer(self, observed: Observed, digest: str) -> Known:
        """The execution that a lock holds, with those of its runs that a hash finds, if any."""
        locked = Locked(observed, self._history.holding(observed.execution))
        return self._joined([locked], self._runs.writing(digest) if digest else [])[0]

    def prepare_writing(self, data: Iterable[DataId]) -> None:
        """Ask who wrote some data in as few questions as possible."""
        digests = {each.hash for each in data if each.hash}
        known = {digest for digest in digests if self._history.containing(digest)}
        self._runs.prepare_writing(digests, known)

    def maker(self, version: VersionNode) -> Known | None:
        """The execution of the run that a model version names, if it is there and made it.

        Another run may have come to the same bytes, from other data.
        """
        run = self._runs.active([version.run_id]).get(version.run_id) if version.run_id else None
        execution = self._runs.execution(run) if run else None
        if run is None or execution is None or version.hash not in execution.outs.values():
            return None
        return self.of_run(run)

    def paths_of(self, digest: str) -> list[str]:
        """The paths to which these bytes were written."""
        found = [
            path
            for known in (self.writing(digest) if digest else [])
            for path, written in known.execution.outs.items()
            if written == digest
        ]
        return list(dict.fromkeys(found))

    def of_run(self, run: "Run") -> Known:
        """The execution of a run.

        Raises:
            LineageError: If the run names no data at all.
        """
        execution = self._runs.execution(run)
        if execution is None:
            raise LineageError(
                f"the run {run.info.run_id} names no data: no stage made it, and it logged no"
                " dataset; log what it reads with mlflow.log_input(mlflow.data.from_dvc(path))."
            )
        if not is_sound(run):
            return Known(execution, None, (), (run,), is_one_run=True)
        return self._joined(self._locked(execution), [run])[0]

    def at(self, commit: Commit) -> list[Known]:
        """The executions that a revision's locks hold."""
        stages = self._history.snapshot(commit).stages
        return [Known(stage.execution, stage, (commit,), ()) for stage in stages]

    def resolution(self, known: Known) -> Resolution:
        """From an execution to its run."""
        if known.is_one_run:
            (run,) = known.runs
            found = self._runs.resolve(known.execution, is_locked=False)
            came = [each for each in (found.producer, *found.confirmations) if each]
            others = tuple(each for each in came if each.info.run_id != run.info.run_id)
            return Resolution(Status.CHANGED, run, others)
        is_locked = known.observed is not None
        sound = find_producer(
            known.execution,
            lambda _tag: known.runs,
            self._runs.whose if is_locked else self._runs.whose_first,
        )
        # All runs that came to these bytes are among those found by a hash that they share.
        if sound.status is Status.RECORDED:
            return sound
        return self._runs.resolve(known.execution, is_locked=is_locked)

    def execution(self, known: Known) -> ExecutionNode:
        """The node of an execution."""
        observed = known.observed
        status, producer, confirmations = self._made_by(known)
        params: Mapping[str, str] = flat_params(observed) if observed else {}
        if observed is None and producer is not None:
            params = {name: without_secrets(value) for name, value in producer.data.params.items()}
        return ExecutionNode(
            execution=known.execution,
            status=status,
            run=facts_of(producer) if producer else None,
            confirmations=tuple(facts_of(run) for run in confirmations),
            revisions=self._history.commits.names(self.commits(known)),
            command=observed.command if observed else "",
            params=dict(params),
        )

    def _made_by(self, known: Known) -> "tuple[Status | None, Run | None, tuple[Run, ...]]":
        found = self.resolution(known)
        wrote_nothing = not known.execution.outs or known.execution.stage.pipeline == NO_PIPELINE
        if known.runs and wrote_nothing and found.producer is None:
            # It failed, or runs still, or no stage made it: no lock can hold it.
            return None, known.runs[0], known.runs[1:]
        return found.status, found.producer, found.confirmations

    def commits(self, known: Known) -> tuple[Commit, ...]:
        """Every revision whose lock holds an execution that git knows."""
        if known.observed is None:
            return ()
        return self._history.holding(known.execution) or known.commits

    def data(self, data: DataId, item: Item | None = None, others: int = 0) -> DataNode:
        """The node of some bytes, which a lock describes as ``item`` if one does."""
        item = item or self._item(data)
        return DataNode(
            path=data.path,
            hash=data.hash,
            kind=item.kind if item else self._kind(data),
            size_bytes=item.size_bytes if item else None,
            files=item.files if item else None,
            revisions=self._history.names_of_data(data),
            others=others,
        )

    def is_code(self, known: Known, path: str) -> bool:
        """Whether git keeps what an execution read from this path."""
        if known.execution.stage.pipeline == NO_PIPELINE:
            return False
        if known.observed is not None:
            return any(dep.path == path and dep.kind == "code" for dep in known.observed.deps)
        told = [contexts for run in known.runs if (contexts := facts_of(run).contexts)]
        if any(path in contexts for contexts in told):
            return False
        data = DataId(path, known.execution.deps[path])
        if self._kind(data) == "code":
            return True
        # A run that tells of data tells of all, if their hash is no longer than MLflow takes.
        return bool(told) and 0 < len(data.hash) <= DIGEST_LIMIT and not self._runs.writing_to(data)

    def snapshot(self, known: Known) -> Snapshot | None:
        """The oldest revision with the execution: it tells which bytes belong together."""
        return self._history.snapshot(known.commits[0]) if known.commits else None

    def _item(self, data: DataId) -> Item | None:
        """What the oldest lock that has these bytes says of them."""
        for commit in self._history.containing(data.hash):
            snapshot = self._history.snapshot(commit)
            deps = [dep for stage in snapshot.stages for dep in stage.deps]
            for item in [*snapshot.data, *deps]:
                if item.path == data.path and item.hash == data.hash:
                    return item
        return None

    def _kind(self, data: DataId) -> str:
        """Of bytes that no lock knows: as the present pipeline calls that path, else a guess."""
        snapshot = self._history.snapshot(self._history.commits.present)
        for stage in snapshot.stages:
            for item in (*stage.outs, *stage.deps):
                if item.path == data.path:
                    return item.kind
        written, here = self._runs.writing(data.hash), self._runs.writing_to(data)
        if not here and self._history.keeps(data.path):
            return "code"
        if not written:
            return "dataset"
        return "dataset" if data.path in facts_of((here or written)[0]).contexts else "report"

    def _locked(self, execution: Execution) -> list[Locked]:
        observed = self._history.recorded(execution)
        return [Locked(observed, self._history.holding(execution))] if observed else []

    def _joined(self, locked: "Iterable[Locked]", runs: "Iterable[Run]") -> list[Known]:
        """Executions of locks and of runs, each once."""
        found: dict[str, Known] = {}
        for each in locked:
            execution = each.observed.execution
            found[_key(execution, execution.signature)] = Known(
                execution, each.observed, each.commits, ()
            )
        for run in runs:
            did = self._runs.execution(run)
            if did is None:
                continue
            # A lock holds what the dependencies had become by the end of the stage.
            key = _key(did, run.data.tags.get(SIGNATURE_AFTER, did.signature))
            known = found.get(key) or Known(did, None, (), ())
            found[key] = Known(known.execution, known.observed, known.commits, (*known.runs, run))
        return list(found.values())


def _key(execution: Execution, signature: str) -> str:
    outs = canonical_json(dict(execution.outs))
    return f"{execution.stage.pipeline}\0{execution.stage.name}\0{signature}\0{outs}"
