"""Histories by their seeds: ``python -m tests.lineage.histories --seeds 0-499 --jobs 2``."""

import argparse
import gc
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.lineage.histories.history import Templates, examined


def main() -> int:
    """Run them; says what was wrong, and returns 1 where something was."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", default="0-499", help="a number, or from-to")
    options.add_argument("--steps", help="make only these, as 0,3,5")
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--whole", action="store_true", help="do not look for fewer steps")
    chosen = options.parse_args()
    first, _, last = chosen.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    steps = [int(each) for each in chosen.steps.split(",")] if chosen.steps else None
    memory = Path("/dev/shm")
    began, failures = time.monotonic(), 0
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        templates = Templates(Path(folder).resolve()).make()
        work = partial(examined, templates=templates, only=steps, whole=chosen.whole)
        with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), initializer=gc.disable) as pool:
            for done in as_completed([pool.submit(work, seed) for seed in seeds]):
                seed, failure = done.result()
                if failure:
                    failures += 1
                    _say(f"--- {failure}")
                elif steps is not None or seed % 50 == 0:
                    _say(f"seed {seed}: clean, {time.monotonic() - began:.0f} s")
    _say(f"{len(seeds) - failures} of {len(seeds)} clean, {time.monotonic() - began:.0f} s")
    return 1 if failures else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
