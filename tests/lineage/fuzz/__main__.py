"""``python -m tests.lineage.fuzz --cases 10000 --seed 0``: nothing from outside is trusted.

Prints each finding with what repeats it, and how many cases each border had.
"""

# ruff: noqa: T201

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.lineage.fuzz.borders import BORDERS
from tests.lineage.fuzz.cases import Case, planned, run, warm_up
from tests.lineage.fuzz.playground import make


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lineage.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="how many; 1000 by default")
    parser.add_argument("--seed", type=int, default=0, help="of them all; 0 by default")
    parser.add_argument("--border", choices=BORDERS, help="only this one")
    parser.add_argument("--one", type=int, help="only the case of this seed, of --border")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the work")
    parser.add_argument("--store", type=Path, help="an empty store to copy, which saves seconds")
    options = parser.parse_args()
    cases = planned(options.cases, options.seed, options.border)
    if options.one is not None:
        cases = [Case(options.one, options.border)]
    sys.setrecursionlimit(20_000)  # as the command has it
    started = time.monotonic()
    children = []
    for job in range(options.jobs):
        child = os.fork()
        if child == 0:
            os._exit(_work(cases[job :: options.jobs], options.store, options.one is not None))
        children.append(child)
    codes = [os.waitpid(child, 0)[1] for child in children]
    print(f"{len(cases)} cases in {time.monotonic() - started:.0f} s")
    for border, number in sorted(Counter(case.border for case in cases).items()):
        print(f"  {border}: {number}")
    return int(any(codes))


def _work(cases: Sequence[Case], store: Path | None, all_told: bool) -> int:
    """Go through cases in a folder of their own; returns the exit code."""
    base = Path(tempfile.mkdtemp(prefix="fuzz-")).resolve()
    found = 0
    try:
        playground = make(base, store)
        sound = warm_up(playground)
        os.chdir(base)
        pristine = playground.pristine()
        for number, case in enumerate(cases):
            if number % 500 == 499:
                print(f"# {number + 1} of {len(cases)}", flush=True)
            done = run(playground, pristine, case, sound)
            found += bool(done.wrong)
            if done.wrong or all_told:
                print(f"--border '{done.border}' --one {done.seed}: {done.about}")
                print(f"   asked {done.questions}")
                for each in done.wrong:
                    print(f"   WRONG {each}", flush=True)
    finally:
        os.chdir("/")
        shutil.rmtree(base, ignore_errors=True)
    print(f"{found} findings in {len(cases)} cases", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
