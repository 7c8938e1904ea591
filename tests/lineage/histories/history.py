"""A history by its seed, and what is wrong after which of its steps."""

import gc
import tempfile
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.lineage.histories import checks
from tests.lineage.histories.oracle import Git, Truth
from tests.lineage.histories.process import Clock, UnexpectedError, close_stores, quieten
from tests.lineage.histories.repository import Repository
from tests.lineage.histories.steps import STEPS
from tests.lineage.histories.world import World

LENGTHS = (8, 12)


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Attributes:
        seed: Of the history.
        steps: The numbers of those steps that were made, the last of which showed it.
        names: What they were.
        said: The difference.
    """

    seed: int
    steps: tuple[int, ...]
    names: tuple[str, ...]
    said: str

    def __str__(self) -> str:
        steps = " > ".join(
            f"{number} {name}" for number, name in zip(self.steps, self.names, strict=True)
        )
        return f"seed {self.seed}: {steps}\n{self.said}"


def names(seed: int) -> list[str]:
    """The steps of a history."""
    luck = Random(seed)
    kinds, weights = list(STEPS), [weight for _, weight in STEPS.values()]
    return ["work", *luck.choices(kinds, weights, k=luck.randint(*LENGTHS))]


class Templates:
    """What every history begins with: an empty store, a repository for each place of a pipeline."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def store(self) -> Path:
        return self.root / "empty.db"

    def make(self) -> "Templates":
        import mlflow

        quieten()
        client = mlflow.MlflowClient(f"sqlite:///{self.store}")
        client.search_experiments()
        client.search_registered_models()
        close_stores()
        for place in ("", "pipe"):
            Repository("", self.repository(place), Clock()).begin(place)
        return self

    def repository(self, place: str) -> Path:
        return self.root / f"repository-{place or 'root'}"


def run(seed: int, templates: Templates, only: Collection[int] | None = None) -> Failure | None:
    """Let a history happen, and check every answer after every step.

    Args:
        seed: Of the history.
        templates: What it begins with.
        only: The numbers of its steps that are made; all by default.
    """
    luck = Random(f"world {seed}")
    chosen = names(seed)
    made: list[int] = []
    place = luck.choice(("", "pipe"))
    with tempfile.TemporaryDirectory(dir=templates.root) as folder:
        world = World(Path(folder), templates.store, luck)
        with world.open(templates.repository(place)):
            for number, name in enumerate(chosen):
                if only is not None and number not in only:
                    continue
                made.append(number)
                try:
                    _step(world, name, f"{seed} {number}")
                except (Exception, UnexpectedError):  # noqa: BLE001 - told, whatever it is
                    said = traceback.format_exc()
                    return Failure(seed, tuple(made), tuple(chosen[each] for each in made), said)
    return None


def examined(
    seed: int, templates: Templates, only: Collection[int] | None, *, whole: bool
) -> tuple[int, Failure | None]:
    """A seed, and what is wrong with its history, in few steps unless the whole is wanted."""
    failure = run(seed, templates, only)
    gc.collect()
    return seed, shrunk(failure, templates) if failure and not whole else failure


def _step(world: World, name: str, seed: str) -> None:
    luck = Random(seed)
    world.luck = Random(f"luck {seed}")
    world.here = world.repositories[luck.random() < 0.25]
    world.happened = []
    before = world.store()
    if name == "sync":
        checks.check_sync(world, luck.choice((None, luck.choice(world.here.commits))))
    else:
        step, _ = STEPS[name]
        step(world, luck)
    after = world.store()
    if name != "wipe":
        checks.check_runs(world, before, after)
        checks.check_others(world, before, after)
        checks.check_versions(world, Truth(Git(world.here.root), after), before)
    checks.check_answers(world, luck)


def shrunk(failure: Failure, templates: Templates) -> Failure:
    """The same history with as few steps as still go wrong."""
    steps = list(failure.steps)
    for number in failure.steps[:-1]:
        fewer = [each for each in steps if each != number]
        again = run(failure.seed, templates, fewer)
        if again is not None and _kind(again) == _kind(failure):
            steps, failure = list(again.steps), again
    return failure


def _kind(failure: Failure) -> str:
    """What the last line of an error, or the first of a difference, is about."""
    return failure.said.strip().splitlines()[-3].split(" of ")[0]
