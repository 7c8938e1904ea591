"""Kill `dvc repro` at random moments, run it again, and look for what shows of it.

    python -m tests.faults.kills --kills 20 --in-training 10 --seed 0

Whatever was killed when, the outputs must have the hashes of a pipeline that nobody disturbed,
each stage one finished run, and that of the training each step once. Prints a line a kill; exit
code 1 where something shows.
"""

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.stages.conftest import Clone, clone_into

SETTINGS: dict[str, object] = {
    "train.epochs": 4,
    "train.ema": 0.9,
    "train.patience": 3,
    "machine.checkpoint_minutes": 0.001,
}
"""Some steps and checkpoints more than the smallest pipeline has, and all that they have to hold;
`train.select` is best anyway."""

PATIENCE_S = 120


def new(folder: Path) -> Clone:
    """A clone of this project in a new folder, before any run."""
    folder.mkdir()
    clone = clone_into(folder)
    clone.set_params(SETTINGS)
    clone.commit("more steps")
    return clone


@contextmanager
def started(clone: Clone, *arguments: str) -> Iterator[None]:
    """Kill `dvc repro`, and all that it started, at the end of the block."""
    dvc = subprocess.Popen(
        ["dvc", "repro", *arguments],
        cwd=clone.root,
        env=clone.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.killpg(dvc.pid, signal.SIGKILL)
        dvc.wait()


def until_it_trains(clone: Clone) -> None:
    """Wait for the first checkpoint of a training."""
    deadline = time.monotonic() + PATIENCE_S
    while not list(clone.root.glob(".dvc/tmp/lineage/kept/*/*/state-*.pt")):
        if time.monotonic() > deadline:
            raise TimeoutError("it never trained")
        time.sleep(0.01)


def marks(clone: Clone, whole: Clone) -> list[str]:
    """What differs from the pipeline that nobody disturbed; nothing, if all is well."""
    found = [
        f"{path} has other bytes"
        for path, digest in clone.outs().items()
        if whole.outs()[path] != digest
    ]
    finished, wanted = Counter(stages(clone, "FINISHED")), Counter(stages(whole, "FINISHED"))
    found += [
        f"{finished[stage]} finished runs of {stage}, and not {count}"
        for stage, count in wanted.items()
        if finished[stage] != count
    ]
    if steps(clone) != steps(whole):
        found.append(f"steps {steps(clone)} and not {steps(whole)}")
    return found


def stages(clone: Clone, status: str) -> list[str]:
    """The stages of all runs of a status, read from MLflow's database."""
    rows = _ask(
        clone,
        "SELECT value FROM tags JOIN runs USING (run_uuid) WHERE key = 'dvc.stage' AND status = ?",
        status,
    )
    return [stage for (stage,) in rows]


def steps(clone: Clone) -> list[tuple[str, int, int]]:
    """Metric, step and how often it is there, of the finished training."""
    return _ask(
        clone,
        "SELECT m.key, m.step, COUNT(*) FROM metrics m"
        " JOIN runs r ON r.run_uuid = m.run_uuid AND r.status = 'FINISHED'"
        " JOIN tags t ON t.run_uuid = m.run_uuid AND t.key = 'dvc.stage' AND t.value = 'train'"
        " WHERE m.key NOT LIKE 'system/%' GROUP BY m.key, m.step ORDER BY m.key, m.step",
    )


def _ask(clone: Clone, query: str, *values: str) -> list[tuple]:
    with closing(sqlite3.connect(clone.root / "mlflow.db")) as store:
        return store.execute(query, values).fetchall()


def trial(folder: Path, whole: Clone, wait: Callable[[Clone], float]) -> str:
    """Kill a pipeline after a wait, and let it come to its end: what showed of it."""
    clone = new(folder)
    with started(clone):
        moment = wait(clone)
        runs = clone.root / "mlflow.db"
        at = (stages(clone, "RUNNING") or ["between stages"])[0] if runs.exists() else "the start"
    clone.repro()
    found = marks(clone, whole)
    return f"killed after {moment:5.1f} s, in {at}: {'; '.join(found) or 'nothing shows'}"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    options = argparse.ArgumentParser(prog="tests.faults.kills")
    options.add_argument("--kills", type=int, default=20, help="at any moment")
    options.add_argument("--in-training", type=int, default=10, help="after a first checkpoint")
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    told = options.parse_args()
    say(f"seed {told.seed}")
    rng = random.Random(told.seed)
    with tempfile.TemporaryDirectory() as top:
        whole = new(Path(top, "whole"))
        begun = time.monotonic()
        whole.repro()
        taken = time.monotonic() - begun
        say(f"undisturbed: {taken:.0f} s, {len(steps(whole))} metrics of steps")

        def at_any_time(_clone: Clone) -> float:
            moment = rng.uniform(0, taken)
            time.sleep(moment)
            return moment

        def in_training(clone: Clone) -> float:
            until_it_trains(clone)
            moment = rng.uniform(0, 2)
            time.sleep(moment)
            return moment

        waits = [at_any_time] * told.kills + [in_training] * told.in_training
        bad = 0
        for number, wait in enumerate(waits):
            said = trial(Path(top, str(number)), whole, wait)
            bad += "nothing shows" not in said
            say(said)
    say(f"{len(waits) - bad} of {len(waits)} show nothing")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
