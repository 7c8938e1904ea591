"""The sections of a report, in Markdown."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from lineage.errors import LineageError, bare_url
from lineage.formats.markdown import (
    amounts,
    code,
    escaped,
    fence,
    figure,
    listed,
    section,
    sentence,
)
from lineage.formats.mermaid import mermaid
from lineage.join.graph import Edge
from lineage.project import Project
from lineage.repository.commits import SHORT, WORKSPACE
from lineage.tracking.facts import RunFacts, VersionNode
from lineage.tracking.producer import Status
from lineage.verbs.diff_answer import Change, DataChange, Difference
from lineage.verbs.diff_sides import Traced
from lineage.verbs.report_outcomes import Outcome, Registered, StageOutcome, models_in
from lineage.words import count, short

METRICS_SHOWN = 4
"""Of a model version; the runs that measured it have them all."""

DATASETS_NAMED = 3
"""Datasets that the headline lists by name."""


def headline(
    stages: Sequence[StageOutcome], difference: Difference | None, registered: Sequence[Registered]
) -> str:
    """What matters most, in a sentence."""
    if not stages:
        return "No stage was ever run."
    counts = Counter(stage.outcome for stage in stages)
    made, ran = counts[Outcome.MADE], counts[Outcome.RAN]
    reused = counts[Outcome.UNCHANGED] + counts[Outcome.REUSED]
    counted = (
        [f"{count(ran, 'stage') if ran else 'no stage'} ran, {reused} reused"] if not made else []
    )
    counted += [f"{count(made, 'stage')} recorded"] if made else []
    doubtful = (Outcome.BACKFILLED, Outcome.ACCEPTED, Outcome.UNRECORDED)
    counted += [f"{counts[each]} {each.value}" for each in doubtful if counts[each]]
    parts = [", ".join(counted)]
    if difference:
        parts.append(_data_in_words(difference))
        is_measured = not any(counts[each] for each in doubtful)
        parts.append(_metric_in_words(difference, registered, is_measured=is_measured))
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _data_in_words(difference: Difference) -> str:
    changed = [code(change.path) for change in difference.data if change.kind == "dataset"]
    if len(changed) > DATASETS_NAMED:
        return f"{len(changed)} datasets changed"
    return f"{listed(changed)} changed" if changed else "no dataset changed"


def _metric_in_words(
    difference: Difference, registered: Sequence[Registered], *, is_measured: bool
) -> str:
    """The first metric that the model's evaluation has, and that changed."""
    if not difference.metrics:
        return "no metric changed" if is_measured else "no metric is known to have changed"
    # What is measured last is nearest to the model as a whole.
    changes = {change.name: change for change in difference.metrics if change.after is not None}
    evaluated = {name for each in registered for name in each.version.metrics}
    telling = sorted(evaluated) if len(difference.metrics) > 1 else changes
    shown = next((changes[name] for name in telling if name in changes), None)
    if shown is None:
        return f"{count(len(difference.metrics), 'metric')} changed"
    if shown.before is None:
        return f"{code(shown.name)} is {figure(shown.after)}"
    step = f" ({_step(shown)})" if _step(shown) else ""
    before, after = figure(shown.before), figure(shown.after)
    return f"{code(shown.name)} went from {before} to {after}{step}"


def stage_section(
    project: Project, stages: Sequence[StageOutcome], difference: Difference | None
) -> str:
    """A row for each stage: what became of it, in which run."""
    rows = [
        (
            code(str(stage.node.execution.stage)),
            _what(stage),
            _run_link(project, stage.run),
            code(short(stage.node.execution.signature)),
        )
        for stage in stages
    ]
    present = {str(stage.node.execution.stage) for stage in stages}
    for change in difference.stages if difference else ():
        if change.before is not None and change.stage not in present:
            signature = code(short(change.before.execution.signature))
            rows.append((code(change.stage), "removed", "", signature))
    return section("Stages", ("stage", "what happened", "run", "signature"), rows)


def _what(stage: StageOutcome) -> str:
    changed = "; changed while running" if stage.node.status is Status.CHANGED else ""
    match stage.outcome, stage.run:
        case Outcome.ACCEPTED, _:
            return "accepted with `dvc commit`: no run made these outputs"
        case Outcome.BACKFILLED, RunFacts() as run:
            return f"backfilled: only known from dvc.lock, written down {_when(run)}"
        case Outcome.RAN, RunFacts() as run:
            is_again = stage.node.run is not None and stage.node.run.id != run.id
            again = " again, to the same result" if is_again else ""
            return f"ran{again} {_when(run)}{_where(run)}{changed}"
        case Outcome.UNCHANGED, RunFacts() as run:
            return f"unchanged, reused from the run of {_when(run)}{_where(run)}{changed}"
        case Outcome.REUSED, RunFacts() as run:
            return f"reused from the run of {_when(run)}{_where(run)}{changed}"
        case Outcome.MADE, RunFacts() as run:
            return f"made by the run of {_when(run)}{_where(run)}{changed}"
        case _:
            return "unrecorded: this tracking store has no run of it"


def _when(run: RunFacts) -> str:
    return f"{run.started:%Y-%m-%d %H:%M} UTC"


def _where(run: RunFacts) -> str:
    """At which commit a run ran, and what else is to know of its code."""
    words = [
        f" at commit {code(run.commit[:SHORT])}" if run.commit else "",
        " with uncommitted changes" if run.dirty else "",
        f" as experiment {code(run.experiment)}" if run.experiment else "",
        ", written down later" if run.backfilled else "",
    ]
    return "".join(words)


def _run_link(project: Project, facts: RunFacts | None) -> str:
    if facts is None:
        return ""
    name = code(short(facts.id))
    run = project.runs.find(facts.id)
    return _linked(
        project, name, _page("experiments", run.info.experiment_id, "runs", facts.id) if run else ""
    )


def change_sections(project: Project, difference: Difference) -> list[str]:
    """A table for each kind of change against the base."""
    digests = {
        node.hash
        for change in difference.data
        for node in (change.before, change.after)
        if node is not None
    }
    facts = project.runs.facts_of_content(digests)
    data = [_data_row(change, facts) for change in difference.data]
    order = list(dict.fromkeys(change.stage for change in difference.metrics))
    # The last stages first: they measure the model.
    by_stage = sorted(difference.metrics, key=lambda change: -order.index(change.stage))
    metrics = [
        (
            code(each.stage),
            code(each.name),
            figure(each.before),
            figure(each.after),
            _step(each),
        )
        for each in by_stage
    ]
    both = ("before", "after")
    return [
        section("Data", ("path", "kind", "hash", "files", "bytes", "content"), data),
        section("Params", ("stage", "param", *both), map(_setting_row, difference.params)),
        section("Commands", ("stage", "key", *both), map(_setting_row, difference.commands)),
        section("Code", ("stage", "path", *both), map(_code_row, difference.code)),
        section("Metrics", ("stage", "metric", *both, "difference"), metrics),
    ]


def _data_row(change: DataChange, facts: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    sides = (change.before, change.after)
    known = [facts.get(node.hash, {}) if node else {} for node in sides]
    names = dict.fromkeys([*known[1], *known[0]])
    return (
        code(change.path),
        escaped(change.kind),
        _hashes(*(node.hash if node else "" for node in sides)),
        amounts(*(node.files if node else None for node in sides)),
        amounts(*(node.size_bytes if node else None for node in sides)),
        ", ".join(
            f"{escaped(name)} {amounts(*(each.get(name) for each in known))}" for name in names
        ),
    )


def _hashes(before: str, after: str) -> str:
    one, other = code(short(before)), code(short(after))
    if one and other:
        return f"{one} → {other}"
    return f"added {other}" if other else f"removed {one}"


def _code_row(change: Change[str]) -> tuple[str, ...]:
    hashes = [code(short(each)) if each else "" for each in (change.before, change.after)]
    return code(change.stage), code(change.name), *hashes


def _setting_row(change: Change[str]) -> tuple[str, ...]:
    values = ["" if each is None else code(each) for each in (change.before, change.after)]
    return code(change.stage), code(change.name), *values


def version_section(project: Project, now: Traced, registered: Sequence[Registered]) -> str:
    """A row for each model version, and for each model that is not registered."""
    rows = [
        (
            _version_link(project, each.version),
            escaped(each.version.verdict),
            ", ".join(code(f"@{alias}") for alias in each.version.aliases),
            code(short(each.version.hash)),
            _evaluation(each.version),
        )
        for each in registered
    ]
    known = {each.version.hash for each in registered}
    rows += [
        (f"{code(node.path)} is not registered", "", "", code(short(node.hash)), "")
        for node in models_in(now)
        if node.hash not in known
    ]
    columns = ("version", "verdict", "aliases", "files", "evaluation")
    return section("Model versions", columns, rows)


def _version_link(project: Project, version: VersionNode) -> str:
    page = _page("models", version.name, "versions", version.version)
    return _linked(project, code(version.id), page)


def _page(*parts: str) -> str:
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def _evaluation(version: VersionNode) -> str:
    shown = sorted(version.metrics.items())[:METRICS_SHOWN]
    left = len(version.metrics) - len(shown)
    words = [f"{code(name)} {figure(value)}" for name, value in shown]
    return ", ".join([*words, *([f"{left} more"] if left else [])])


def graph_section(
    name: str, now: Traced, stages: Sequence[StageOutcome], registered: Sequence[Registered]
) -> str:
    """The graph as a chart that folds, or where to see it if it is too large."""
    versions = {each.version.id: each.version for each in registered}
    edges = [Edge(each.source, each.version.id) for each in registered]
    graph = replace(
        now.graph,
        roots=tuple(stage.node.id for stage in stages if stage.outcome is Outcome.RAN),
        nodes={**now.graph.nodes, **versions},
        edges=(*now.graph.edges, *edges),
        warnings=(),  # they have a section of their own
    )
    if not graph.nodes:
        return ""
    try:
        chart = mermaid(graph)
    except LineageError:
        see = code(f"lineage graph {name} --format html")
        return f"The graph is too large for GitHub{f': see {see}' if name != WORKSPACE else ''}."
    ticks = fence(chart, 3)
    summary = "<summary>Graph: what ran has a thick border</summary>"
    return f"<details>{summary}\n\n{ticks}mermaid\n{chart}{ticks}\n\n</details>"


def warning_section(stages: Sequence[StageOutcome], warnings: Iterable[str]) -> str:
    """What the report cannot know, and what is to be done about doubtful stages."""
    advice = {
        Status.UNRECORDED: "is unrecorded: `lineage sync` writes down what dvc.lock has.",
        Status.ACCEPTED: "was accepted by hand: `dvc repro -f` makes its outputs by a run.",
        Status.CHANGED: "changed while running: `dvc repro -f` makes sure of what it reads.",
    }
    sentences = [sentence(each) for each in warnings]
    for stage in stages:
        if stage.node.status in advice:
            name = code(str(stage.node.execution.stage))
            sentences.append(f"The stage {name} {advice[stage.node.status]}")
    return (
        "\n".join(["### Warnings", "", *(f"- {each}" for each in sentences)]) if sentences else ""
    )


def _step(change: Change[float]) -> str:
    """How far a metric moved."""
    if change.before is None or change.after is None:
        return ""
    step = change.after - change.before
    return figure(step, "+") if math.isfinite(step) else ""


def _linked(project: Project, label: str, page: str) -> str:
    """A link to a page of MLflow; the label alone where that has no address."""
    uri = bare_url(project.reader.tracking_uri).rstrip("/")
    if not page or not uri.startswith(("http://", "https://")):
        return label
    return f"[{label}](<{quote(uri, safe=':/?=&%@~+,;')}/#{page}>)"
