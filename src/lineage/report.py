"""What a revision's pipeline did and changed, as Markdown for a pull request."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from lineage.diff import Change, DataChange, Difference, Traced, compare, recorded, traced
from lineage.errors import LineageError
from lineage.formats.labels import short, visible
from lineage.formats.mermaid import mermaid
from lineage.graph import DataNode, ExecutionNode, RunFacts, VersionNode, execution_id
from lineage.history import WORKSPACE, Commit, History
from lineage.project import Project
from lineage.reference import Revision
from lineage.resolve import Status
from lineage.tracking import without_credentials
from lineage.workspace import git

METRICS_SHOWN = 4
"""Of a model version; the runs that measured it have them all."""

NAMED = 3
"""Datasets that the headline lists by name."""

ROWS_SHOWN = 25
"""Of a table; the others are folded."""

EXACT = 1e15
"""Below, a float that is a whole number is shown with all its digits."""


class _Outcome(StrEnum):
    """What became of a stage."""

    RAN = "ran"
    UNCHANGED = "unchanged"
    REUSED = "reused"
    MADE = "made"
    """By some run: with nothing to compare with, nobody can say whether it was for this."""

    BACKFILLED = "backfilled"
    ACCEPTED = "accepted"
    UNRECORDED = "unrecorded"


@dataclass(frozen=True)
class _Base:
    """The revision to compare with, or None, and a sentence that says which or why."""

    commit: Commit | None
    sentence: str


@dataclass(frozen=True)
class _Stage:
    """An execution that the revision's lock holds.

    Attributes:
        node: The execution.
        outcome: What became of it.
        run: The run that tells so; None where the store has none.
    """

    node: ExecutionNode
    outcome: _Outcome
    run: RunFacts | None = None


@dataclass(frozen=True)
class _Registered:
    """A model version, and the node of what it is made of."""

    source: str
    version: VersionNode


def report(
    project: Project,
    rev: str | None = None,
    *,
    base: str | None = None,
    since: datetime | None = None,
) -> str:
    """What ran and what was reused for a revision, and what changed against its base.

    Args:
        project: Whose.
        rev: A git revision or a DVC experiment; by default the working tree, or HEAD where
            both record the same.
        base: What to compare with. Of a branch, it is the commit at which the revision left
            it, or the parent of a revision that lies on it; any other revision counts as it
            is. The default branch by default.
        since: A time with its zone: what started from then on ran for this. Without it, git
            tells: what the base does not have, and ran on the base or on a later commit.

    Returns:
        Markdown as GitHub reads it.

    Raises:
        LineageError: If ``rev`` or ``base`` is no git revision.
    """
    name, commit = _revision(project.history, rev)
    against = _base(project, commit, base)
    now = traced(project, name, Revision(name, commit))
    difference = None
    if against.commit is not None:
        before = Revision(_called(against.commit), against.commit)
        difference = compare(project, traced(project, before.name, before), now)
    stages = _stages(now, _Past.of(project.history, commit, against.commit, since))
    registered = _registered(project, now)
    sections = [
        f"## Lineage of {_title(name, commit)}",
        f"**{_headline(stages, difference, registered)}**",
        against.sentence,
        _stage_section(project, stages, difference),
        *(_change_sections(project, difference) if difference else ()),
        _version_section(project, now, registered),
        _graph_section(name, now, stages, registered),
        _warning_section(stages, (difference or now.graph).warnings),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


# Which revisions.


def _revision(history: History, rev: str | None) -> tuple[str, Commit]:
    """What the report is about, with a name for it."""
    if rev is not None:
        return rev, _found(history, rev)
    head = history.find(history.head) if history.head else None
    if head is None or history.snapshot(history.present) != history.snapshot(head):
        return WORKSPACE, history.present
    return _called(head), head


def _called(commit: Commit) -> str:
    return next(iter(commit.names), commit.short)


def _found(history: History, rev: str) -> Commit:
    commit = history.find(rev)
    if commit is None:
        fetch = "git fetch --unshallow" if history.is_shallow else "git fetch"
        raise LineageError(
            f"{rev} is no git revision of this clone: name a branch, a tag, a commit or a DVC"
            f" experiment, or get it with `{fetch}`."
        )
    return commit


def _base(project: Project, commit: Commit, base: str | None) -> _Base:
    history = project.history
    if base is not None and not _is_branch(history, base):
        found = _found(history, base)
        return _Base(found, f"Compared with {_title(base, found)}.")
    branch = base or _default_branch(project)
    if branch is None:
        return _Base(
            None,
            "Compared with nothing: neither origin/HEAD nor a branch main or master is here; name"
            " what to compare with by `--base`.",
        )
    common = _reached(history, commit) & _reached(history, _found(history, branch))
    # Newest first, and parents after their children.
    fork = next((each for each in history.commits if each.id in common), None)
    if fork and fork.id != commit.id:
        return _Base(fork, f"Compared with {_code(fork.short)}, where it left {_code(branch)}.")
    parent = history.by_id.get(commit.parents[0]) if commit.parents else None
    if fork and parent:
        return _Base(parent, f"Compared with its parent {_code(parent.short)}.")
    return _Base(None, f"Compared with nothing: {_why_alone(history, commit, branch)}")


def _is_branch(history: History, name: str) -> bool:
    if re.search(r"[~^:{]", name):
        return False  # what git counts from a branch is another revision
    return any(history.find(f"refs/{kind}/{name}") for kind in ("heads", "remotes"))


def _default_branch(project: Project) -> str | None:
    symbolic = ("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    named = git(project.workspace.git_root, *symbolic, check=False)
    branches = [named, "origin/main", "origin/master", "main", "master"]
    return next((each for each in branches if each and _is_branch(project.history, each)), None)


def _why_alone(history: History, commit: Commit, branch: str) -> str:
    if history.is_shallow:
        return (
            "this clone is shallow, and lacks the commit to compare with; fetch it with"
            " `git fetch --unshallow`."
        )
    if not commit.parents:
        return "no commit came before."
    return f"it has no commit in common with {_code(branch)}."


def _reached(history: History, commit: Commit) -> frozenset[str]:
    """Ids of all commits that a commit reaches, itself among them."""
    reached: set[str] = set()
    waiting = [commit.id] if commit.id else list(commit.parents)
    while waiting:
        each = waiting.pop()
        found = history.by_id.get(each) or history.find(each)
        if found is not None and each not in reached:
            reached.add(each)
            waiting += found.parents
    return frozenset(reached)


def _title(name: str, commit: Commit) -> str:
    if not commit.id:
        return "the working tree"
    return _code(name) if commit.id.startswith(name) else f"{_code(name)} ({_code(commit.short)})"


# What happened.


@dataclass(frozen=True)
class _Past:
    """What was there before the revision.

    Attributes:
        history: Of the repository.
        base: What the revision is compared with, if anything is known.
        since: When the work on the revision began, if that is known.
        locked: Ids of the executions in the lock of the base.
        before: Ids of the commits that the base reaches.
        own: Ids of the commits that only the revision reaches.
    """

    history: History
    base: Commit | None
    since: datetime | None
    locked: frozenset[str]
    before: frozenset[str]
    own: frozenset[str]

    @classmethod
    def of(
        cls, history: History, commit: Commit, base: Commit | None, since: datetime | None
    ) -> "_Past":
        """What was there before a revision that is compared with a base."""
        stages = history.snapshot(base).stages if base else ()
        locked = frozenset(execution_id(stage.execution) for stage in stages)
        before = _reached(history, base) if base else frozenset()
        return cls(history, base, since, locked, before, _reached(history, commit) - before)

    @property
    def is_known(self) -> bool:
        """Whether anything can be told from it."""
        return self.base is not None or self.since is not None

    def is_later(self, node: ExecutionNode, run: RunFacts) -> bool:
        """Whether this run of an execution came later, for the revision."""
        if self.since is not None:
            return run.started >= self.since
        if self.base is None or node.id in self.locked:
            return False
        at = self.history.find(run.commit) if run.commit else None
        if at is None:
            return run.started >= self.base.time
        if at.id in self.before:
            return at.id == self.base.id
        # A commit that was rebased away belonged to this, one of another branch did not.
        return at.id in self.own or not self.history.reaches(at.id)


def _stages(now: Traced, past: _Past) -> list[_Stage]:
    """Every execution that the revision's lock holds, and what became of it."""
    nodes = [now.graph.nodes[root] for root in now.graph.roots]
    return [_stage(node, past) for node in nodes if isinstance(node, ExecutionNode)]


def _stage(node: ExecutionNode, past: _Past) -> _Stage:
    if node.run is None:
        is_accepted = node.status is Status.ACCEPTED
        return _Stage(node, _Outcome.ACCEPTED if is_accepted else _Outcome.UNRECORDED)
    runs = [run for run in (node.run, *node.confirmations) if not run.backfilled]
    new = [run for run in runs if past.is_later(node, run)]
    if new:
        return _Stage(node, _Outcome.RAN, new[0])
    if node.id in past.locked:
        return _Stage(node, _Outcome.UNCHANGED, (runs or [node.run])[0])
    if not runs:
        return _Stage(node, _Outcome.BACKFILLED, node.run)
    return _Stage(node, _Outcome.REUSED if past.is_known else _Outcome.MADE, runs[0])


def _registered(project: Project, now: Traced) -> list[_Registered]:
    """The model versions that the revision's models are registered as."""
    registry = project.registry
    found = [
        _Registered(node.id, version)
        for node in _models(now)
        for version in registry.made_of(node.hash)
    ]
    for root in now.graph.roots:
        node = now.graph.nodes[root]
        if isinstance(node, ExecutionNode) and node.run:
            found += [_Registered(root, version) for version in registry.of_run(node.run.id)]
    return found


def _models(now: Traced) -> list[DataNode]:
    """The models that the revision records."""
    nodes = [now.graph.nodes[key] for key in recorded(now.graph)]
    data = [node for node in nodes if isinstance(node, DataNode)]
    return [node for node in data if node.kind == "model" and node.hash]


# The sections.


def _headline(
    stages: Sequence[_Stage], difference: Difference | None, registered: Sequence[_Registered]
) -> str:
    """What matters most, in a sentence."""
    if not stages:
        return "No stage was ever run."
    counts = Counter(stage.outcome for stage in stages)
    made, ran = counts[_Outcome.MADE], counts[_Outcome.RAN]
    reused = counts[_Outcome.UNCHANGED] + counts[_Outcome.REUSED]
    counted = [f"{_count(ran, 'stage')} ran, {reused} reused"] if not made else []
    counted += [f"{_count(made, 'stage')} recorded"] if made else []
    doubtful = (_Outcome.BACKFILLED, _Outcome.ACCEPTED, _Outcome.UNRECORDED)
    counted += [f"{counts[each]} {each.value}" for each in doubtful if counts[each]]
    parts = [", ".join(counted)]
    if difference:
        parts.append(_data_in_words(difference))
        is_measured = not any(counts[each] for each in doubtful)
        parts.append(_metric_in_words(difference, registered, is_measured=is_measured))
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _data_in_words(difference: Difference) -> str:
    changed = [_code(change.path) for change in difference.data if change.kind == "dataset"]
    if len(changed) > NAMED:
        return f"{len(changed)} datasets changed"
    return f"{_listed(changed)} changed" if changed else "no dataset changed"


def _metric_in_words(
    difference: Difference, registered: Sequence[_Registered], *, is_measured: bool
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
        return f"{_count(len(difference.metrics), 'metric')} changed"
    if shown.before is None:
        return f"{_code(shown.name)} is {_figure(shown.after)}"
    step = f" ({_step(shown)})" if _step(shown) else ""
    before, after = _figure(shown.before), _figure(shown.after)
    return f"{_code(shown.name)} went from {before} to {after}{step}"


def _stage_section(
    project: Project, stages: Sequence[_Stage], difference: Difference | None
) -> str:
    rows = [
        (
            _code(str(stage.node.execution.stage)),
            _what(stage),
            _run_link(project, stage.run),
            _code(short(stage.node.execution.signature)),
        )
        for stage in stages
    ]
    present = {str(stage.node.execution.stage) for stage in stages}
    for change in difference.stages if difference else ():
        if change.before is not None and change.stage not in present:
            signature = _code(short(change.before.execution.signature))
            rows.append((_code(change.stage), "removed", "", signature))
    return _section("Stages", ("stage", "what happened", "run", "signature"), rows)


def _what(stage: _Stage) -> str:
    changed = "; changed while running" if stage.node.status is Status.CHANGED else ""
    match stage.outcome, stage.run:
        case _Outcome.ACCEPTED, _:
            return "accepted with `dvc commit`: no run made these outputs"
        case _Outcome.BACKFILLED, RunFacts() as run:
            return f"backfilled: only known from dvc.lock, written down {_when(run)}"
        case _Outcome.RAN, RunFacts() as run:
            is_again = stage.node.run is not None and stage.node.run.id != run.id
            again = " again, to the same result" if is_again else ""
            return f"ran{again} {_when(run)}{_where(run)}{changed}"
        case _Outcome.UNCHANGED, RunFacts() as run:
            return f"unchanged, reused from the run of {_when(run)}{_where(run)}{changed}"
        case _Outcome.REUSED, RunFacts() as run:
            return f"reused from the run of {_when(run)}{_where(run)}{changed}"
        case _Outcome.MADE, RunFacts() as run:
            return f"made by the run of {_when(run)}{_where(run)}{changed}"
        case _:
            return "unrecorded: this tracking store has no run of it"


def _when(run: RunFacts) -> str:
    return f"{run.started:%Y-%m-%d %H:%M} UTC"


def _where(run: RunFacts) -> str:
    """At which commit a run ran, and what else is to know of its code."""
    words = [
        f" at commit {_code(short(run.commit))}" if run.commit else "",
        " with uncommitted changes" if run.dirty else "",
        f" as experiment {_code(run.experiment)}" if run.experiment else "",
        ", written down later" if run.backfilled else "",
    ]
    return "".join(words)


def _run_link(project: Project, facts: RunFacts | None) -> str:
    if facts is None:
        return ""
    name = _code(short(facts.id))
    run = project.runs.find(facts.id)
    return _linked(
        project, name, f"/experiments/{run.info.experiment_id}/runs/{facts.id}" if run else ""
    )


def _change_sections(project: Project, difference: Difference) -> list[str]:
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
            _code(each.stage),
            _code(each.name),
            _figure(each.before),
            _figure(each.after),
            _step(each),
        )
        for each in by_stage
    ]
    both = ("before", "after")
    return [
        _section("Data", ("path", "kind", "hash", "files", "bytes", "content"), data),
        _section("Params", ("stage", "param", *both), map(_setting_row, difference.params)),
        _section("Commands", ("stage", "key", *both), map(_setting_row, difference.commands)),
        _section("Code", ("stage", "path", *both), map(_code_row, difference.code)),
        _section("Metrics", ("stage", "metric", *both, "difference"), metrics),
    ]


def _data_row(change: DataChange, facts: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    sides = (change.before, change.after)
    known = [facts.get(node.hash, {}) if node else {} for node in sides]
    names = dict.fromkeys([*known[1], *known[0]])
    return (
        _code(change.path),
        change.kind,
        _hashes(*(node.hash if node else "" for node in sides)),
        _amounts(*(node.files if node else None for node in sides)),
        _amounts(*(node.size_bytes if node else None for node in sides)),
        ", ".join(
            f"{_text(name)} {_amounts(*(each.get(name) for each in known))}" for name in names
        ),
    )


def _hashes(before: str, after: str) -> str:
    one, other = _code(short(before)), _code(short(after))
    if one and other:
        return f"{one} → {other}"
    return f"added {other}" if other else f"removed {one}"


def _code_row(change: Change[str]) -> tuple[str, ...]:
    hashes = [_code(short(each)) if each else "" for each in (change.before, change.after)]
    return _code(change.stage), _code(change.name), *hashes


def _setting_row(change: Change[str]) -> tuple[str, ...]:
    values = ["" if each is None else _code(each) for each in (change.before, change.after)]
    return _code(change.stage), _code(change.name), *values


def _version_section(project: Project, now: Traced, registered: Sequence[_Registered]) -> str:
    rows = [
        (
            _version_link(project, each.version),
            _text(each.version.verdict),
            ", ".join(_code(f"@{alias}") for alias in each.version.aliases),
            _code(short(each.version.hash)),
            _evaluation(each.version),
        )
        for each in registered
    ]
    known = {each.version.hash for each in registered}
    rows += [
        (f"{_code(node.path)} is not registered", "", "", _code(short(node.hash)), "")
        for node in _models(now)
        if node.hash not in known
    ]
    columns = ("version", "verdict", "aliases", "files", "evaluation")
    return _section("Model versions", columns, rows)


def _version_link(project: Project, version: VersionNode) -> str:
    page = f"/models/{quote(version.name, safe='')}/versions/{version.version}"
    return _linked(project, _code(version.id), page)


def _evaluation(version: VersionNode) -> str:
    shown = sorted(version.metrics.items())[:METRICS_SHOWN]
    left = len(version.metrics) - len(shown)
    words = [f"{_code(name)} {_figure(value)}" for name, value in shown]
    return ", ".join([*words, *([f"{left} more"] if left else [])])


def _graph_section(
    name: str, now: Traced, stages: Sequence[_Stage], registered: Sequence[_Registered]
) -> str:
    versions = {each.version.id: each.version for each in registered}
    edges = [(each.source, each.version.id) for each in registered]
    graph = replace(
        now.graph,
        roots=tuple(stage.node.id for stage in stages if stage.outcome is _Outcome.RAN),
        nodes={**now.graph.nodes, **versions},
        edges=(*now.graph.edges, *edges),
        warnings=(),  # they have a section of their own
    )
    if not graph.nodes:
        return ""
    try:
        chart = mermaid(graph)
    except LineageError:
        see = _code(f"lineage graph {name} --format html")
        return f"The graph is too large for GitHub{f': see {see}' if name != WORKSPACE else ''}."
    fence = _fence(chart, 3)
    summary = "<summary>Graph: what ran has a thick border</summary>"
    return f"<details>{summary}\n\n{fence}mermaid\n{chart}{fence}\n\n</details>"


def _warning_section(stages: Sequence[_Stage], warnings: Iterable[str]) -> str:
    advice = {
        Status.UNRECORDED: "is unrecorded: `lineage sync` writes down what dvc.lock has.",
        Status.ACCEPTED: "was accepted by hand: `dvc repro -f` makes its outputs by a run.",
        Status.CHANGED: "changed while running: `dvc repro -f` makes sure of what it reads.",
    }
    sentences = [_sentence(each) for each in warnings]
    for stage in stages:
        if stage.node.status in advice:
            name = _code(str(stage.node.execution.stage))
            sentences.append(f"The stage {name} {advice[stage.node.status]}")
    return (
        "\n".join(["### Warnings", "", *(f"- {each}" for each in sentences)]) if sentences else ""
    )


# Figures.


def _step(change: Change[float]) -> str:
    """How far a metric moved."""
    if change.before is None or change.after is None:
        return ""
    step = change.after - change.before
    return _figure(step, "+") if math.isfinite(step) else ""


def _amounts(before: Any, after: Any) -> str:
    """Two values of one fact, and how far they are apart."""
    if before is None or after is None or before == after:
        return _figure(before if after is None else after)
    are_numbers = all(isinstance(each, int | float) for each in (before, after))
    step = f" ({_figure(after - before, '+')})" if are_numbers else ""
    return f"{_figure(before)} → {_figure(after)}{step}"


def _figure(value: Any, sign: str = "") -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int():
            return f"{value:{sign},}"
        case float() if value.is_integer() and abs(value) < EXACT:
            return f"{value:{sign},.0f}"
        case float():
            return f"{value:{sign}.6g}"
        case _:
            return _text(str(value))


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' if number > 1 else ''}"


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


# Markdown in which no name means anything.


def _section(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading and a table; nothing without rows."""
    lines = [_row(row) for row in rows]
    if not lines:
        return ""
    head = [_row(columns), _row(["---"] * len(columns))]
    section = [f"### {title}", "", *head, *lines[:ROWS_SHOWN]]
    if len(lines) > ROWS_SHOWN:
        summary = f"<details><summary>{len(lines) - ROWS_SHOWN} more</summary>"
        section += ["", summary, "", *head, *lines[ROWS_SHOWN:], "", "</details>"]
    return "\n".join(section)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def _linked(project: Project, label: str, page: str) -> str:
    """A link to a page of MLflow; the label alone where that has no address."""
    uri = without_credentials(project.client.tracking_uri).rstrip("/")
    if not page or not uri.startswith(("http://", "https://")):
        return label
    return f"[{label}](<{quote(uri, safe=':/?=&%@~+,;')}/#{page}>)"


def _code(text: str) -> str:
    """A code span."""
    shown = visible(text)
    if not shown:
        return ""
    fence = _fence(shown, 1)
    padding = " " if "`" in (shown[0], shown[-1]) or shown.strip() == "" else ""
    return f"{fence}{padding}{shown}{padding}{fence}"


def _fence(text: str, least: int) -> str:
    """So many backticks as the text has nowhere in a row."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)


def _text(text: str) -> str:
    """Words."""
    escaped = re.sub(r"[\\`*_~\[\]#]", r"\\\g<0>", visible(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sentence(text: str) -> str:
    """A sentence in which commands stand between backticks."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _text(text)
    return "".join(_code(part) if index % 2 else _text(part) for index, part in enumerate(parts))
