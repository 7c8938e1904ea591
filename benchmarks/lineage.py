"""How long the questions of `lineage` take in a large project; ``make bench-lineage``.

A project of 10,000 runs, 200 dataset versions, 500 model versions and 500 commits is made,
and every verb is timed as a command, from the start of the process to its end, in turns
with the floor: a process that imports mlflow and opens that store. So is the trace of a run
with 450 dependencies, in the same store. Medians, against sqlite and against a tracking server.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests

from benchmarks.lineage_store import generate
from benchmarks.many_inputs import FILES
from benchmarks.many_inputs import generate as generate_many

BIN = Path(sys.executable).parent
OPEN = "import mlflow; mlflow.MlflowClient().search_experiments(max_results=1)"
"""The floor: what any question to MLflow costs."""

ALLOWED_S = {"sqlite": 1.0, "server": 2.0}
"""Seconds over the floor for trace, impact and show."""

WHOLE_S = 10.0
"""Seconds for log and verify, as a whole."""

HELP_S = 0.3

MANY_S = 2.0
"""Seconds that the trace of a run with many dependencies may take longer on a server."""


def main() -> None:
    """Generate, measure, print; writes the figures as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-lineage-") as folder:
        project = generate(Path(folder) / "project")
        questions = {
            "help": ["--help"],
            "trace": ["trace", project.version],
            "impact": ["impact", project.dataset],
            "show": ["show", project.version],
            "log": ["log"],
            "verify": ["verify"],
        }
        many = Path(folder) / "many"
        asked = {"many": ["trace", generate_many(many, project.store_uri)]}
        figures = {"sqlite": measure(project.root, project.store_uri, questions, options.rounds)}
        figures["sqlite"] |= measure(many, project.store_uri, asked, options.rounds)
        with server(project.store_uri, Path(folder)) as uri:
            figures["server"] = measure(project.root, uri, questions, options.rounds)
            figures["server"] |= measure(many, uri, asked, options.rounds)
    for store, seconds in figures.items():
        report(store, seconds)
    over = figures["server"]["many"] - figures["sqlite"]["many"]
    print(f"\ntrace of a run with {FILES} dependencies, on sqlite and on the server")
    for store, seconds in figures.items():
        print(f"  {store:8}{seconds['many']:6.2f} s")
    line("server", over, f"more than on sqlite, allowed {MANY_S:.0f}", over <= MANY_S)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(
    root: Path, uri: str, questions: Mapping[str, Sequence[str]], rounds: int
) -> dict[str, float]:
    """Median seconds of every question and of the floor, asked in turns."""
    commands = {"floor": [sys.executable, "-c", OPEN]}
    commands |= {name: [str(BIN / "lineage"), *words] for name, words in questions.items()}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for each in range(rounds + 1):
        for name, command in commands.items():
            seconds = timed(command, root, uri)
            if each:  # the first warms the file system's cache
                taken[name].append(seconds)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def timed(command: Sequence[str], root: Path, uri: str) -> float:
    """Seconds that a command takes."""
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    start = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stdout[-500:]}{done.stderr[-2000:]}")
    return seconds


def report(store: str, seconds: Mapping[str, float]) -> None:
    """Print the figures beside their targets."""
    floor = seconds["floor"]
    print(f"\n{store}: import mlflow and open the store {floor:.2f} s")
    for name in ("trace", "impact", "show"):
        over, allowed = seconds[name] - floor, ALLOWED_S[store]
        line(
            name, seconds[name], f"{over:+.2f} s over that, allowed {allowed:+.1f}", over <= allowed
        )
    for name in ("log", "verify"):
        line(name, seconds[name], f"allowed {WHOLE_S:.0f}", seconds[name] < WHOLE_S)
    line("--help", seconds["help"], f"allowed {HELP_S}", seconds["help"] < HELP_S)


def line(name: str, seconds: float, target: str, is_met: bool) -> None:
    """Print one figure."""
    print(f"  {name:8}{seconds:6.2f} s   {target}   {'met' if is_met else 'MISSED'}")


@contextmanager
def server(store: str, folder: Path) -> Iterator[str]:
    """A real ``mlflow server`` on loopback over the same store, with its own defaults."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", store]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(240):
            try:
                if requests.get(f"{uri}/health", timeout=1).ok:
                    break
            except requests.RequestException:  # not there yet, or the machine is busy
                time.sleep(0.25)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=30)


if __name__ == "__main__":
    main()
