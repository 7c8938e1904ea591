"""Which model versions are of this repository, and whether their runs are there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lineage.join.knowledge import Knowledge
from lineage.project import Project
from lineage.repository.code import address
from lineage.repository.history import History
from lineage.repository.snapshot import Snapshot
from lineage.repository.whose import Whose
from lineage.tracking.facts import VersionNode, facts_of
from lineage.verbs.verify_break import Break, Check, Found
from lineage.words import count, some

if TYPE_CHECKING:
    from mlflow.entities import Run


@dataclass(frozen=True)
class CheckedVersion:
    """A model version of this repository.

    Attributes:
        node: As the registry has it.
        run: Which made it, even if it is deleted; None where the store has none.
        inputs: Path -> hash of the data that it was made of.
    """

    node: VersionNode
    run: "Run | None"
    inputs: Mapping[str, str]


def versions_to_check(
    project: Project, only: Snapshot | None, rev: str | None
) -> tuple[list[CheckedVersion], Found]:
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
        CheckedVersion(node, run, inputs_of(node, run))
        for node in chosen
        for run in [runs.get(node.run_id)]
    ]
    here = address(project.repository_url)
    ours, strangers, abroad = [], [], {}
    for version in known:
        there = facts_of(version.run).repository if version.run else ""
        if version.run and project.runs.whose(version.run) is Whose.STRANGERS:
            abroad[version.node.id] = there or "of another first commit"
        elif _is_of(project.history, version, here, address(there)):
            ours.append(version)
        elif there:
            abroad[version.node.id] = there
        else:
            strangers.append(version.node.id)
    skipped = []
    if len(chosen) < len(every):
        skipped.append(
            f"{count(len(every) - len(chosen), 'model version')} whose files {rev} does not"
            " record: `lineage verify` checks them"
        )
    if abroad:
        skipped.append(
            f"{count(len(abroad), 'model version')} of other repositories"
            f" ({some(sorted(set(abroad.values())))})"
        )
    if strangers:
        skipped.append(
            f"{some(strangers)}: no repository is named with it, and no revision here has its"
            " files, data or commit"
        )
    runless = [version.node.id for version in ours if not version.node.run_id]
    if runless:
        skipped.append(f"the run and commit of {some(runless)}: none is named")
    return ours, Found(skipped=tuple(skipped))


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


def _is_of(history: History, version: CheckedVersion, here: str, there: str) -> bool:
    """Whether a version is of this repository, which is at the address ``here``.

    Data alone says so only where an address is missing: others may have the same.
    """
    if version.node.hash and history.containing(version.node.hash):
        return True
    if version.run and history.commits.reaches(facts_of(version.run).commit):
        return True
    if here and there:
        return here == there
    return any(history.containing(digest) for digest in version.inputs.values())


def check_runs(project: Project, versions: Iterable[CheckedVersion]) -> Found:
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
    return Found(tuple(breaks))


def _restore(project: Project, run: "Run") -> str:
    experiment = project.reader.get_experiment(run.info.experiment_id)
    if experiment.lifecycle_stage == "deleted":
        return f"mlflow experiments restore -x {experiment.experiment_id}"
    return f"mlflow runs restore --run-id {run.info.run_id}"


def _or_write_down(history: History, node: VersionNode) -> str:
    commits = history.containing(node.hash) if node.hash else []
    if not commits:
        return "or delete the version"
    rev = "" if not commits[-1].id else f" {history.commits.names(commits)[0]}"
    return f"or write the run down again with `lineage sync{rev}`"
