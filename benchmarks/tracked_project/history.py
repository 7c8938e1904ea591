"""Months of work on the pipeline: commits, experiments, and every run of a stage."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import accumulate, pairwise

from benchmarks.tracked_project.outcome import Outcome, State, reproduce
from benchmarks.tracked_project.pipeline import PARAMS, STAGES, TRAINING_CODE, first_texts

MAIN = "main"
SIDE_BRANCH = "relabel"
SIDE_COMMITS = 6

START_S = int(datetime(2025, 1, 6, 9, tzinfo=UTC).timestamp())
COMMIT_INTERVAL_S = 6 * 3600
PIPELINE_S = 3600
"""How long before its commit the pipeline starts, and more than it takes."""

UNTRAINED_SHARE = 0.05
"""Of the commits, those with nothing but notes or code."""

FAILED_SHARE = 0.02
REPEATED_SHARE = 0.02
"""Of the experiments, those that run the training of their commit once more."""

STAGES_AFTER_DATA = len(STAGES)
STAGES_AFTER_TRAINING = 3
"""What a change of the training reruns: train, evaluate, register."""


@dataclass(frozen=True)
class Size:
    """How large a project is.

    Attributes:
        runs: MLflow runs.
        dataset_versions: Versions of the raw data and of each split.
        model_versions: Versions of the registered model.
        commits: Git commits, DVC experiments not among them.
    """

    runs: int
    dataset_versions: int
    model_versions: int
    commits: int

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            ValueError: If the numbers do not go together.
        """
        if not 1 <= self.dataset_versions <= self.trained_commits:
            raise ValueError(
                f"{self.dataset_versions} dataset versions need as many commits with a model of"
                f" their own, and {self.commits} commits with {self.model_versions} model versions"
                f" leave {self.trained_commits}."
            )
        if self.runs < self.registering_runs:
            raise ValueError(f"{self.runs} runs are too few: it takes {self.registering_runs}.")

    @property
    def trained_commits(self) -> int:
        """Commits with a model of their own. One or more versions come from experiments."""
        return min(self.model_versions - 1, round((self.commits - 1) * (1 - UNTRAINED_SHARE)))

    @property
    def registered_experiments(self) -> int:
        """Experiments that ended in a model version."""
        return self.model_versions - self.trained_commits

    @property
    def registering_runs(self) -> int:
        """Runs behind all model versions."""
        trainings = self.model_versions - self.dataset_versions
        return STAGES_AFTER_DATA * self.dataset_versions + STAGES_AFTER_TRAINING * trainings


class Change(StrEnum):
    """What a commit brings. Its value is the message."""

    DATA = "Get other data"
    PARAMS = "Train with other params"
    CODE = "Change the training code"
    CODE_RUN = "Train with the changed code"
    NOTES = "Write a note"


@dataclass(frozen=True)
class Commit:
    """A git commit, and the pipeline run before it.

    Attributes:
        parent: Index of its parent among the commits; None for the first.
        branch: Where it was made.
        change: What it brings; None for the first.
        state: What it holds.
        ran: The stages that ran for it, on its parent.
        time_s: When, in seconds since the epoch.
    """

    parent: int | None
    branch: str
    change: Change | None
    state: State
    ran: Sequence[Outcome]
    time_s: int


@dataclass(frozen=True)
class Experiment:
    """A pipeline run that ended in no commit.

    Attributes:
        name: As ``dvc exp run`` gave it; empty for a forced rerun of a commit's training.
        baseline: Index of the commit that it started from.
        state: What it came to.
        ran: The stages that ran.
        start_s: When, in seconds since the epoch.
        failed: Whether its only stage failed.
    """

    name: str
    baseline: int
    state: State
    ran: Sequence[Outcome]
    start_s: int
    failed: bool = False


@dataclass(frozen=True)
class Attempt:
    """One run of a stage.

    Attributes:
        outcome: What came of it, or would have had it not failed.
        commit: Index of the commit that was checked out.
        branch: The branch that was checked out.
        dirty: Whether params or code differed from the commit.
        experiment: Name of the DVC experiment, or empty.
        start_s: When, in seconds since the epoch.
        failed: Whether it failed.
    """

    outcome: Outcome
    commit: int
    branch: str
    dirty: bool
    experiment: str
    start_s: int
    failed: bool

    @property
    def end_s(self) -> int:
        """When it ended, in seconds since the epoch."""
        return self.start_s + self.outcome.stage.seconds


@dataclass(frozen=True)
class History:
    """All of it.

    Attributes:
        commits: Oldest first, each after its parent.
        adopted: Index of the commit that a kept experiment became.
        kept: The experiments that git has a ref for: that one first.
        registered: The experiments with a model version.
        others: The experiments that left nothing but runs.
    """

    commits: Sequence[Commit]
    adopted: int
    kept: Sequence[Experiment]
    registered: Sequence[Experiment]
    others: Sequence[Experiment]

    def of_branch(self, branch: str) -> list[int]:
        """Indices of the commits that were made on a branch, oldest first."""
        return [i for i, commit in enumerate(self.commits) if commit.branch == branch]

    def outcomes_with_bytes(self) -> Iterator[Outcome]:
        """Those whose outputs the DVC cache holds."""
        for commit in self.commits:
            yield from commit.ran
        for experiment in self.registered:
            yield from experiment.ran

    def attempts(self) -> list[Attempt]:
        """Every run of a stage, oldest first."""
        attempts = []
        for index, commit in enumerate(self.commits):
            name = self.kept[0].name if index == self.adopted else ""
            dirty = commit.change is not Change.CODE_RUN
            run = Experiment(
                name, commit.parent or 0, commit.state, commit.ran, commit.time_s - PIPELINE_S
            )
            attempts += _attempts(run, commit.branch, dirty)
        for run in (*self.registered, *self.others):
            attempts += _attempts(run, self.commits[run.baseline].branch, bool(run.name))
        return sorted(attempts, key=lambda attempt: attempt.start_s)


def _attempts(run: Experiment, branch: str, dirty: bool) -> list[Attempt]:
    starts = accumulate((outcome.stage.seconds for outcome in run.ran), initial=run.start_s)
    return [
        Attempt(outcome, run.baseline, branch, dirty, run.name, start_s, run.failed)
        for outcome, start_s in zip(run.ran, starts, strict=False)
    ]


def play(size: Size, seed: int) -> History:
    """Make it up, the same for the same arguments."""
    rng = random.Random(seed)
    commits = _commits(size, rng)
    trained = [
        index
        for index, commit in enumerate(commits)
        if commit.branch == MAIN and commit.state.outcomes
    ]
    adopted = [i for i in trained if commits[i].change in (Change.DATA, Change.PARAMS)][-1]
    adopting = commits[adopted]
    assert adopting.parent is not None
    registered, others = _experiments(size, commits, trained, rng)
    first = Experiment(
        "adopted-lynx",
        adopting.parent,
        adopting.state,
        adopting.ran,
        adopting.time_s - PIPELINE_S,
    )
    return History(commits, adopted, (first, registered[0]), registered, others)


def _commits(size: Size, rng: random.Random) -> list[Commit]:
    commits = [Commit(None, MAIN, None, State(PARAMS, first_texts(), {}), (), START_S)]
    heads = {MAIN: 0}
    for serial, (branch, change) in enumerate(_plan(size, rng), start=1):
        parent = heads.setdefault(branch, heads[MAIN])
        state = _changed(commits[parent].state, change, serial, rng)
        ran: Sequence[Outcome] = ()
        if change not in (Change.CODE, Change.NOTES):
            state, ran = reproduce(state)
        time_s = START_S + serial * COMMIT_INTERVAL_S
        commits.append(Commit(parent, branch, change, state, ran, time_s))
        heads[branch] = serial
    return commits


def _plan(size: Size, rng: random.Random) -> list[tuple[str, Change]]:
    """Branch and change of each commit after the first."""
    changes = [
        *[Change.DATA] * (size.dataset_versions - 1),
        *[Change.PARAMS] * (size.trained_commits - size.dataset_versions),
        *[Change.NOTES] * (size.commits - 1 - size.trained_commits),
    ]
    rng.shuffle(changes)
    changes.insert(0, Change.DATA)
    start = len(changes) * 2 // 3
    side = range(start, start + min(SIDE_COMMITS, len(changes) // 4))
    branches = [SIDE_BRANCH if index in side else MAIN for index in range(len(changes))]
    # Some code is committed first and run then, so that a clean tree is among the runs.
    for index, (before, after) in enumerate(pairwise(changes)):
        together = branches[index] == branches[index + 1]
        if together and (before, after) == (Change.NOTES, Change.PARAMS):
            changes[index : index + 2] = [Change.CODE, Change.CODE_RUN]
    return list(zip(branches, changes, strict=True))


def _changed(state: State, change: Change, serial: int, rng: random.Random) -> State:
    match change:
        case Change.DATA:
            sample = {"seed": serial, "images": 360 + 4 * serial}
            return state.with_params(
                {f"download.sample.{key}": value for key, value in sample.items()}
            )
        case Change.PARAMS:
            return state.with_params(
                {
                    "train.seed": serial,
                    "train.epochs": rng.choice([8, 12, 16, 24]),
                    "train.optimizer.learning_rate": round(10 ** rng.uniform(-4, -2), 6),
                }
            )
        case Change.CODE:
            path = rng.choice(TRAINING_CODE)
            return state.with_text(path, f'"""{path}, revision {serial}."""\n')
        case Change.NOTES:
            return state.with_text("README.md", f"# Detector\n\nNote {serial}.\n")
        case Change.CODE_RUN:
            return state


def _experiments(
    size: Size, commits: Sequence[Commit], baselines: Sequence[int], rng: random.Random
) -> tuple[list[Experiment], list[Experiment]]:
    """Those with a model version, the first of them of the last commit, and the others."""
    registered = []
    for number in range(size.registered_experiments):
        baseline = rng.choice(baselines) if number else baselines[-1]
        registered.append(_experiment(commits, baseline, len(commits) + number, rng))
    others: list[Experiment] = []
    left = size.runs - size.registering_runs
    while left:
        serial = len(commits) + len(registered) + len(others)
        run = _experiment(commits, rng.choice(baselines), serial, rng)
        luck = rng.random()
        if luck < FAILED_SHARE:
            run = replace(run, ran=run.ran[:1], failed=True)
        elif luck < FAILED_SHARE + REPEATED_SHARE or left == 1:
            state = commits[run.baseline].state
            run = replace(run, name="", state=state, ran=(state.outcomes["train"],))
        else:
            run = replace(run, ran=run.ran[:2])
        others.append(run)
        left -= len(run.ran)
    return registered, others


def _experiment(
    commits: Sequence[Commit], baseline: int, serial: int, rng: random.Random
) -> Experiment:
    commit = commits[baseline]
    state, ran = reproduce(_changed(commit.state, Change.PARAMS, serial, rng))
    start_s = commit.time_s + rng.randrange(1, COMMIT_INTERVAL_S - 2 * PIPELINE_S)
    return Experiment(f"exp-{serial:05d}", baseline, state, ran, start_s)
