"""Whether the record is whole: the gate of a CI."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineage.graph import VersionNode
from lineage.history import SHORT, History
from lineage.identity import StageId, from_root
from lineage.knowledge import Knowledge
from lineage.project import Project
from lineage.resolve import Resolution, Status
from lineage.revision import address, repository_url
from lineage.runs import facts_of
from lineage.snapshot import Snapshot
from lineage.storage import locate
from lineage.workspace import Workspace, open_repo

if TYPE_CHECKING:
    from mlflow.entities import Run

SHOWN = 3
"""How many of many things a sentence names."""


class Check(StrEnum):
    """What is wrong."""

    NOT_RUN = "not run"
    """``dvc.yaml`` has a stage of which ``dvc.lock`` has no entry."""

    UNRECORDED = Status.UNRECORDED.value
    ACCEPTED = Status.ACCEPTED.value
    CHANGED = Status.CHANGED.value

    RUN_GONE = "run gone"
    """The run that made a model version is deleted, or not in this store at all."""

    DATA_LOST = "data lost"
    """What a model version was made of, or its files, are in neither cache nor remote."""

    DIFFERS = "differs from the lock"
    """The working tree is not what ``dvc.lock`` and the ``.dvc`` files record."""

    UNREACHABLE = "commit unreachable"
    """No branch, tag or experiment reaches a commit that a run names."""

    SHALLOW = "shallow clone"
    """Commits are missing here, so that nobody can say whether they are lost."""

    UNREADABLE = "unreadable"
    """A DVC file of a revision cannot be read."""


@dataclass(frozen=True)
class Break:
    """A place where the record is not whole.

    Attributes:
        check: What is wrong.
        subject: Of what: a stage, a model version, ``path@hash``, a path, a commit.
        sentence: What, where, and what to do about it.
    """

    check: Check
    subject: str
    sentence: str


@dataclass(frozen=True)
class Verified:
    """What was found, and how much was looked at.

    Attributes:
        breaks: Every one; empty where the record is whole.
        stages: How many entries of locks were looked up in MLflow.
        backfilled: How many of those have a run that was written down later.
        model_versions: How many versions were checked.
        hashes: How many different data were looked for in cache and remote.
        commits: How many different commits the runs of all these name.
        skipped: A phrase for everything that was not checked, and why.
    """

    breaks: tuple[Break, ...]
    stages: int
    backfilled: int
    model_versions: int
    hashes: int
    commits: int
    skipped: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        counts = ("stages", "backfilled", "model_versions", "hashes", "commits")
        return {
            "breaks": [asdict(each) for each in self.breaks],
            "checked": {name: getattr(self, name) for name in counts},
            "skipped": list(self.skipped),
        }


def verify(project: Project, rev: str | None = None) -> Verified:
    """Check that what DVC, git and MLflow know of a revision fits together, and is there.

    Every locked stage has a run; the model versions have their runs, and their data in cache
    or remote; the commits that those runs name can be reached; the working tree is what it
    records.

    Args:
        project: Whose.
        rev: A git revision, of which only the model versions whose files it records are
            checked; by default the working tree, and all versions of this repository.

    Raises:
        LineageError: If there is no such revision, a DVC file of the working tree cannot be
            read, or MLflow or the DVC remote does not answer.
    """
    history = project.history
    commit = history.present if rev is None else history.named(rev)
    snapshot = history.snapshot(commit)
    with open_repo(project.workspace, commit.id or None) as repo:
        defined = _defined(project.workspace, repo)
        tree = _Found(tuple(_differences(repo, snapshot))) if rev is None else _Found()
    resolutions = {
        stage.execution.stage: project.runs.resolve(stage.execution) for stage in snapshot.stages
    }
    stages = _Found(tuple(_check_stages(defined, resolutions, rev)))
    versions, others = _versions(project, None if rev is None else snapshot, rev)
    runs = _check_runs(project, versions)
    hashes, data = _check_data(project, versions)
    commits, code = _check_commits(project, resolutions, versions)
    unreadable = _Found(
        tuple(Break(Check.UNREADABLE, commit.short, each) for each in history.unreadable)
    )
    producers = [found.producer for found in resolutions.values() if found.producer]
    parts = (unreadable, stages, runs, data, tree, code, others)
    return Verified(
        breaks=tuple(each for part in parts for each in part.breaks),
        stages=len(resolutions),
        backfilled=sum(facts_of(run).backfilled for run in producers),
        model_versions=len(versions),
        hashes=hashes,
        commits=commits,
        skipped=tuple(each for part in parts for each in part.skipped),
    )


@dataclass(frozen=True)
class _Found:
    """What one check came to."""

    breaks: tuple[Break, ...] = ()
    skipped: tuple[str, ...] = ()


# The working tree is what DVC recorded of it.


def _defined(workspace: Workspace, repo: Any) -> dict[StageId, bool]:
    """Every stage of an open DVC repository, and whether it is frozen."""
    prefix = workspace.name_of(workspace.root)
    return {
        StageId(from_root(repo.fs.relpath(stage.path, repo.root_dir), prefix), stage.name): bool(
            stage.frozen
        )
        for stage in repo.index.stages
        if getattr(stage, "name", None)
    }


def _differences(repo: Any, snapshot: Snapshot) -> Iterator[Break]:
    """What ``dvc status`` says, but for data that is not checked out."""
    tracked = [item.location for item in snapshot.data]
    for stage, changes in repo.status().items():
        for change in changes:
            for path, state in _flat(change):
                place = Path(repo.root_dir, path).resolve()
                is_data = any(place.is_relative_to(each) for each in tracked)
                # Data that is elsewhere is not different, and nothing else needs it here.
                if is_data and state in ("deleted", "not in cache"):
                    continue
                parts = [each for each in tracked if each.is_relative_to(place)]
                if not is_data and not all(part.exists() for part in parts):
                    continue
                yield Break(
                    Check.DIFFERS,
                    path,
                    f"{path} ({stage}) is {state} against what DVC recorded: bring the recorded"
                    f" state back with git and `dvc checkout`, or run `dvc repro {stage}`.",
                )


def _flat(change: Any) -> Iterator[tuple[str, str]]:
    """(path or param, state) of each change that ``dvc status`` reports for a stage."""
    if isinstance(change, str):  # such as "changed command"
        yield change.removeprefix("changed "), "changed"
        return
    for changed in change.values():
        for path, state in changed.items():
            if isinstance(state, Mapping):
                yield from ((f"{path}:{param}", str(each)) for param, each in state.items())
            else:
                yield path, str(state)


# Every locked stage has its run.


def _check_stages(
    defined: Mapping[StageId, bool],
    resolutions: Mapping[StageId, Resolution],
    rev: str | None,
) -> Iterator[Break]:
    for stage, is_frozen in defined.items():
        if stage not in resolutions:
            lock = stage.pipeline.removesuffix(".yaml") + ".lock"
            frozen = f" after `dvc unfreeze {stage}`" if is_frozen else ""
            yield Break(
                Check.NOT_RUN,
                str(stage),
                f"stage {stage} has no entry in {lock}: run it with `dvc repro {stage}`{frozen}.",
            )
    sync = "lineage sync" if rev is None else f"lineage sync {rev}"
    for stage_id, found in resolutions.items():
        match found:
            case Resolution(Status.UNRECORDED):
                problem = (
                    "this tracking store has no run of what its lock records: write it down with"
                    f" `{sync}`"
                )
            case Resolution(Status.ACCEPTED):
                problem = (
                    "it ran, but no run here wrote the outputs that its lock records: they were"
                    " accepted with `dvc commit`, or made by a run that another tracking store has;"
                    f" make them here with `dvc repro -f {stage_id}`"
                )
            case Resolution(Status.CHANGED, producer) if producer is not None:
                problem = (
                    f"{_some(_changed(producer))} changed while its run {producer.info.run_id}"
                    " went on, so that it may have read other bytes than its lock records: run it"
                    f" again with `dvc repro -f {stage_id}`"
                )
            case _:
                continue
        yield Break(Check(found.status.value), str(stage_id), f"stage {stage_id}: {problem}.")


def _changed(run: "Run") -> list[str]:
    """What changed under a run, as its tag says."""
    try:
        return list(json.loads(run.data.tags["dvc.changed"]))
    except ValueError:  # so much that the tag was cut
        return ["much of what it reads"]


# Model versions: which are of this repository, and whether their runs are there.


@dataclass(frozen=True)
class _Version:
    """A model version of this repository.

    Attributes:
        node: As the registry has it.
        run: Which made it, even if it is deleted; None where the store has none.
        inputs: Path -> hash of the data that it was made of.
    """

    node: VersionNode
    run: "Run | None"
    inputs: Mapping[str, str]


def _versions(
    project: Project, only: Snapshot | None, rev: str | None
) -> tuple[list[_Version], _Found]:
    """The model versions to check, and phrases about those that are not."""
    every = project.registry.versions
    if only is not None:
        recorded = {item.hash for item in only.data}
        chosen = [node for node in every if node.hash in recorded]
    else:
        chosen = every
    runs = _runs(project, {node.run_id for node in chosen if node.run_id})
    inputs_of = _Inputs(project)
    known = [
        _Version(node, run, inputs_of(node, run))
        for node in chosen
        for run in [runs.get(node.run_id)]
    ]
    here = address(repository_url(project.workspace))
    ours, strangers, abroad = [], [], {}
    for version in known:
        there = facts_of(version.run).repository if version.run else ""
        if _is_of(project.history, version, here, address(there)):
            ours.append(version)
        elif there:
            abroad[version.node.id] = there
        else:
            strangers.append(version.node.id)
    skipped = []
    if len(chosen) < len(every):
        skipped.append(
            f"{_count(len(every) - len(chosen), 'model version')} whose files {rev} does not"
            " record: `lineage verify` checks them"
        )
    if abroad:
        skipped.append(
            f"{_count(len(abroad), 'model version')} of other repositories"
            f" ({_some(sorted(set(abroad.values())))})"
        )
    if strangers:
        skipped.append(
            f"{_some(strangers)}: no repository is named with it, and no revision here has its"
            " files, data or commit"
        )
    runless = [version.node.id for version in ours if not version.node.run_id]
    if runless:
        skipped.append(f"the run and commit of {_some(runless)}: none is named")
    return ours, _Found(skipped=tuple(skipped))


def _runs(project: Project, run_ids: set[str]) -> "dict[str, Run]":
    """Runs by id, deleted ones too."""
    runs = project.runs.active(run_ids)
    for run_id in sorted(run_ids - runs.keys()):
        run = project.runs.find(run_id)
        if run is not None:
            runs[run_id] = run
    return runs


class _Inputs:
    """Tells what model versions were made of."""

    def __init__(self, project: Project) -> None:
        self._history = project.history
        self._runs = project.runs
        self._knowledge = Knowledge(project)

    def __call__(self, node: VersionNode, run: "Run | None") -> Mapping[str, str]:
        """Path -> hash, from its tags, else from its run, else from a lock."""
        if node.data:
            return node.data
        execution = self._runs.execution(run) if run else None
        if run is not None and execution is not None:
            known = self._knowledge.of_run(run)
            return {
                path: digest
                for path, digest in execution.deps.items()
                if digest and not self._knowledge.is_code(known, path)
            }
        locked = self._history.writing(node.hash) if node.hash else []
        return {
            dep.path: dep.hash
            for each in locked[:1]
            for dep in each.observed.deps
            if dep.hash and dep.kind != "code"
        }


def _is_of(history: History, version: _Version, here: str, there: str) -> bool:
    """Whether a version is of this repository, which is at the address ``here``.

    Data alone says so only where an address is missing: others may have the same.
    """
    if version.node.hash and history.containing(version.node.hash):
        return True
    if version.run and history.reaches(facts_of(version.run).commit):
        return True
    if here and there:
        return here == there
    return any(history.containing(digest) for digest in version.inputs.values())


def _check_runs(project: Project, versions: Iterable[_Version]) -> _Found:
    """The run that made each version is there."""
    breaks = []
    for version in versions:
        run, run_id = version.run, version.node.run_id
        if run is not None and run.info.lifecycle_stage == "deleted":
            problem = f"was deleted in MLflow: bring it back with `{_restore(project, run)}`"
        elif run is None and run_id:
            problem = (
                "is in this tracking store no more: restore the store from a backup,"
                f" {_or_write_down(project.history, version.node)}"
            )
        else:
            continue
        sentence = f"the run {run_id}, which made {version.node.id}, {problem}."
        breaks.append(Break(Check.RUN_GONE, version.node.id, sentence))
    return _Found(tuple(breaks))


def _restore(project: Project, run: "Run") -> str:
    experiment = project.client.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        return f"mlflow experiments restore -x {experiment.experiment_id}"
    return f"mlflow runs restore --run-id {run.info.run_id}"


def _or_write_down(history: History, node: VersionNode) -> str:
    commits = history.containing(node.hash) if node.hash else []
    if not commits:
        return "or delete the version"
    rev = "" if not commits[-1].id else f" {history.names(commits)[0]}"
    return f"or write the run down again with `lineage sync{rev}`"


# What the versions were made of is there.


def _check_data(project: Project, versions: Iterable[_Version]) -> tuple[int, _Found]:
    """Inputs and files of the versions are in cache or remote; how many were looked for."""
    needed: dict[tuple[str, str], list[str]] = {}
    nameless = []
    for version in versions:
        node = version.node
        for key in [*version.inputs.items(), *([("", node.hash)] if node.hash else [])]:
            needed.setdefault(key, []).append(node.id)
        if not version.inputs:
            nameless.append(node.id)
    skipped = [f"the inputs of {_some(nameless)}: none are named"] if nameless else []
    reasons = {key: _is_kept_elsewhere(project.history, *key) for key in needed}
    asked = [key for key, reason in reasons.items() if not reason]
    elsewhere = {f"{path} ({reasons[path, digest]})" for path, digest in needed.keys() - asked}
    if elsewhere:
        skipped.append(f"the bytes of {_some(sorted(elsewhere))}")
    places = locate(project.workspace, {digest for _, digest in asked})
    lost = [
        Break(
            Check.DATA_LOST,
            f"{path}@{digest}" if path else digest,
            f"{path or 'the model'} {digest}, of which {_some(needed[path, digest])} is made, is"
            " neither in the DVC cache nor in the remote: `dvc push` it from where it is, or make"
            " it again at a revision that has it.",
        )
        for path, digest in asked
        if places[digest].missing
    ]
    if any(place.remote is None for place in places.values()):
        skipped.append(
            "the DVC remote: none is set up, so data count as there if this machine's cache has"
            " them; add one with `dvc remote add --default`"
        )
    return len(places), _Found(tuple(lost), tuple(skipped))


def _is_kept_elsewhere(history: History, path: str, digest: str) -> str:
    """Why neither cache nor remote need have some bytes; empty where one should."""
    if "://" in path or path.startswith(("/", "..")):
        return "outside of the repository"
    reasons = [
        item.unpushed or ("kept by git" if item.kind == "code" or item.size_bytes == 0 else "")
        for commit in history.containing(digest)
        for item in history.snapshot(commit).data
        if item.hash == digest and item.path == path
    ]
    if reasons:
        # Any revision may say so: what was pushed once may have been removed since.
        return next(filter(None, reasons), "")
    read = [
        dep
        for locked in history.reading(digest)
        for dep in locked.observed.deps
        if dep.hash == digest and dep.path == path
    ]
    if any(dep.kind == "code" for dep in read):
        return "kept by git"
    return "no stage's output" if read else ""


# Recorded commits can be reached.


def _check_commits(
    project: Project, resolutions: Mapping[StageId, Resolution], versions: Iterable[_Version]
) -> tuple[int, _Found]:
    """The commits of the stages' and the versions' runs; how many there are."""
    history = project.history
    made = {str(stage): found.producer for stage, found in resolutions.items()}
    made |= {version.node.id: version.run for version in versions}
    named: dict[str, list[str]] = {}
    for what, run in made.items():
        commit = facts_of(run).commit if run is not None else ""
        # Of another repository that shares the store, no commit can be here.
        if commit and run is not None and not project.runs.is_foreign(run):
            named.setdefault(commit, []).append(what)
    lost = {commit: by for commit, by in named.items() if not history.reaches(commit)}
    if lost and history.is_shallow:
        sentence = (
            f"{_count(len(lost), 'recorded commit')} ({_some([each[:SHORT] for each in lost])})"
            " cannot be looked up, since this clone is shallow: fetch the rest of the history with"
            " `git fetch --unshallow`."
        )
        return len(named), _Found((Break(Check.SHALLOW, "history", sentence),))
    breaks = tuple(
        Break(
            Check.UNREACHABLE,
            commit,
            f"commit {commit}, on which {_some(by)} was made, is reached by no branch, tag or"
            " experiment: fetch it with `git fetch --all --tags`, or keep it with `git tag NAME"
            f" {commit[:SHORT]}` where it still is.",
        )
        for commit, by in lost.items()
    )
    return len(named), _Found(breaks)


def _some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
