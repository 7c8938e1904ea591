"""Every locked stage has its run."""

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from lineage.identity import StageId
from lineage.tracking.outside import names
from lineage.tracking.producer import Resolution, Status
from lineage.tracking.tags import CHANGED
from lineage.verbs.verify_break import Break, Check
from lineage.words import some

if TYPE_CHECKING:
    from mlflow.entities import Run


def check_stages(
    defined: Mapping[StageId, bool],
    resolutions: Mapping[StageId, Resolution],
    rev: str | None,
) -> Iterator[Break]:
    """Stages without an entry in a lock, and entries without a sure run."""
    yield from _not_run(defined, resolutions.keys())
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
                    f"{some(_changed(producer))} changed while its run {producer.info.run_id}"
                    " went on, so that it may have read other bytes than its lock records: run it"
                    f" again with `dvc repro -f {stage_id}`"
                )
            case _:
                continue
        yield Break(Check(found.status.value), str(stage_id), f"stage {stage_id}: {problem}.")


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
