"""Every locked stage has its run."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from lineage.identity import Execution, StageId
from lineage.project import Project
from lineage.repository.items import Observed
from lineage.tracking.outside import names
from lineage.tracking.producer import Resolution, Status
from lineage.tracking.tags import CHANGED
from lineage.verbs.verify_break import Break, Check
from lineage.words import some

if TYPE_CHECKING:
    from mlflow.entities import Run

SEVERAL = re.compile(r"&&|\|\||;|\n")
"""What stands between commands of a shell."""


def check_stages(
    defined: Mapping[StageId, bool],
    entries: Mapping[StageId, Observed],
    project: Project,
    rev: str | None,
) -> tuple[Mapping[StageId, Resolution], list[Break]]:
    """Stages without an entry in a lock, and entries without a sure run.

    Args:
        defined: Every stage, and whether it is frozen.
        entries: Those that a lock has.
        project: Whose runs are looked through.
        rev: The revision of that lock; None for the working tree.

    Returns:
        What became of each entry, and the breaks.
    """
    resolutions = {stage: project.runs.resolve(each.execution) for stage, each in entries.items()}
    sync = "lineage sync" if rev is None else f"lineage sync {rev}"
    breaks = list(_not_run(defined, entries.keys()))
    for stage, found in resolutions.items():
        problem = _problem(project, entries[stage], found, sync)
        if problem:
            check = Check(found.status.value)
            breaks.append(Break(check, str(stage), f"stage {stage}: {problem}."))
    return resolutions, breaks


def _problem(project: Project, entry: Observed, found: Resolution, sync: str) -> str:
    """Why the run of an entry is not sure, and what to do; empty where it is."""
    again = f"`dvc repro -f {entry.execution.stage}`"
    match found:
        case Resolution(Status.UNRECORDED):
            return (
                "this tracking store has no run of what its lock records: write it down with"
                f" `{sync}`"
            )
        case Resolution(Status.ACCEPTED) if _is_several(entry.command):
            return (
                "it ran, but no run here wrote the outputs that its lock records: its command went"
                " on after the block that records what it does, and wrote to them, or they were"
                " replaced since; put `lineage run --` before the whole command, which records it"
                f" to its end, and make them again with {again}"
            )
        case Resolution(Status.ACCEPTED):
            return (
                "it ran, but no run here wrote the outputs that its lock records: they were"
                " accepted with `dvc commit`, or made by a run that another tracking store has;"
                f" make them here with {again}"
            )
        case Resolution(Status.CHANGED, producer) if producer and CHANGED in producer.data.tags:
            return (
                f"{some(_changed(producer))} changed while its run {producer.info.run_id} went on,"
                f" so that it may have read other bytes than its lock records: run it again with"
                f" {again}"
            )
        case Resolution(Status.CHANGED, producer) if producer:
            did = project.runs.execution(producer)
            return (
                f"its run {producer.info.run_id}, which wrote these outputs, read another"
                f" {_differing(entry.execution, did)} than its lock records, which changed after"
                " that was read, while the command went on or before `dvc commit`: run it again"
                f" with {again}"
            )
    return ""


def _is_several(command: str | list[str]) -> bool:
    """Whether something may go on when a part of a command has ended."""
    return (isinstance(command, list) and len(command) > 1) or bool(SEVERAL.search(str(command)))


def _not_run(defined: Mapping[StageId, bool], locked: Collection[StageId]) -> Iterator[Break]:
    """Stages that no lock holds; of a pipeline that never ran at all, in one."""
    for pipeline in dict.fromkeys(stage.pipeline for stage in defined):
        stages = [stage for stage in defined if stage.pipeline == pipeline]
        missing = [stage for stage in stages if stage not in locked]
        if len(missing) == len(stages) > 1:
            yield Break(
                Check.NOT_RUN,
                pipeline,
                f"the pipeline {pipeline} has not been run: none of its {len(stages)} stages has an"
                f" entry in {_lock(pipeline)}; run them with `dvc repro {pipeline}`.",
            )
            continue
        for stage in missing:
            frozen = f" after `dvc unfreeze {stage}`" if defined[stage] else ""
            yield Break(
                Check.NOT_RUN,
                str(stage),
                f"stage {stage} has no entry in {_lock(pipeline)}: run it with"
                f" `dvc repro {stage}`{frozen}.",
            )


def _lock(pipeline: str) -> str:
    return pipeline.removesuffix(".yaml") + ".lock"


def _changed(run: "Run") -> list[str]:
    """What changed under a run, as its tag says."""
    try:
        return names(run.data.tags[CHANGED])
    except (ValueError, TypeError, RecursionError):  # so much that the tag was cut
        return ["much of what it reads"]


def _differing(locked: Execution, did: Execution | None) -> str:
    """What a run read otherwise than a lock says, whose signature is another one."""
    read = did.deps if did else {}
    paths = [path for path, digest in locked.deps.items() if read.get(path) != digest]
    return some(paths) if paths else "command or params"
