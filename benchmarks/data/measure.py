"""Timing, and printing figures beside their targets."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def in_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> Figures:
    """Take each way in each round; the medians, and all rounds."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
    return {
        "medians": {name: statistics.median(each) for name, each in taken.items()},
        "rounds": taken,
    }


def print_in_turns(figures: Figures, unit: str) -> None:
    """One line a way."""
    for name, median in figures["medians"].items():
        rounds = " ".join(f"{one:.4g}" for one in figures["rounds"][name])
        print(f"  {name:28}{median:9.4g} {unit}   rounds {rounds}")


def script(code: str, *arguments: object) -> Figures:
    """Run Python code in a process of its own, which prints its figures."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def timed(*command: str, cwd: Path | None = None) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=cwd)
    return time.perf_counter() - start


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A folder that is not there before and after."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    yield folder / "out"
    shutil.rmtree(folder)


def at_most(what: str, ratio: float, allowed: float) -> None:
    """Print a ratio beside the greatest that is allowed."""
    print(f"  {ratio:7.3f} {what}, at most {allowed:g}   {'met' if ratio <= allowed else 'MISSED'}")


def at_least(what: str, ratio: float, wanted: float) -> None:
    """Print a ratio beside the least that is wanted."""
    print(f"  {ratio:7.3f} {what}, at least {wanted:g}   {'met' if ratio >= wanted else 'MISSED'}")


def exactly(what: str, count: int, wanted: int) -> None:
    """Print a count beside the one that is wanted."""
    print(f"  {count:7,} {what}, exactly {wanted:,}   {'met' if count == wanted else 'MISSED'}")


def size_of(folder: Path, pattern: str = "*") -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())
