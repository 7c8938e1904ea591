"""Take the tracking server away from a running stage, in every way, and look for what shows of it.

    python -m tests.faults.outages --of training
    python -m tests.faults.outages --of lineage --gone

The server is killed and restarted three times, answers 500s once and hangs once; with ``--gone``
it is then killed for good, and started again only for `lineage sync`. The stage must not fail and
must not wait, and every metric of every step must be in the server's database once, with the time
at which it was logged. Prints what happened; exit code 1 where something shows.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tests.faults.servers import Server
from tests.stages.conftest import clone_into

PATIENCE_S = 180
AWAY_S = 4.0
"""How long each outage lasts, a restart of the server not counted."""

LONGEST_STEP_S = 0.2
"""That a step may be held up."""

MOST_SHARE = 0.01
"""Of its time that a stage may wait for tracking."""

TOY = """
import json, sys, time
from pathlib import Path
import lineage, mlflow

log, seconds = [], float(sys.argv[1])
with lineage.stage() as run:
    began = time.monotonic()
    step, waited, longest = 0, 0.0, 0.0
    Path("begun").touch()
    while time.monotonic() - began < seconds or not Path("enough").exists():
        step += 1
        at = time.time_ns() // 10**6
        before = time.perf_counter()
        mlflow.log_metrics({"loss": 1 / step, "rate": step}, step=step, timestamp=at)
        if step % 20 == 0:
            mlflow.set_tag("step", step)
            mlflow.log_dict({"step": step}, f"steps/{step}.json")
        took = time.perf_counter() - before
        waited, longest = waited + took, max(longest, took)
        log.append((step, at))
        time.sleep(0.05)
    took = time.monotonic() - began
    run.out("out").write_text(
        json.dumps({"log": log, "waited": waited / took, "longest": longest})
    )
"""


class Stage:
    """A stage that logs steps for as long as it takes.

    Attributes:
        clone: A DVC repository.
        command: That runs it.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self.clone = clone_into(folder)
        self.clone.environment["MLFLOW_TRACKING_URI"] = server.uri
        self.clone.environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
        self.server = server
        self.command = ["dvc", "repro"]

    def has_begun(self) -> bool:
        """Whether steps are done now."""
        raise NotImplementedError

    def marks(self) -> list[str]:
        """What is wrong afterwards; nothing, if all is well."""
        raise NotImplementedError

    def enough(self) -> None:
        """Let it come to its end."""


class Toy(Stage):
    """A pipeline that uses the bridge alone."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder, server)
        root = self.clone.root
        for path in ("dvc.yaml", "params.yaml"):
            (root / path).unlink()
        (root / "stage.py").write_text(TOY)
        (root / "dvc.yaml").write_text(
            "stages:\n  make:\n    cmd: python stage.py 20\n    deps: [stage.py]\n"
            "    outs: [out.json]\n"
        )
        self.clone.commit("a toy")

    def has_begun(self) -> bool:
        return (self.clone.root / "begun").exists()

    def enough(self) -> None:
        (self.clone.root / "enough").touch()

    def marks(self) -> list[str]:
        told = json.loads((self.clone.root / "out.json").read_text())
        logged = [tuple(each) for each in told["log"]]
        found = waits(told["waited"], told["longest"])
        say(f"{len(logged)} steps")
        for key in ("loss", "rate"):
            rows = self.server.ask(
                "SELECT step, timestamp FROM metrics WHERE key = ? ORDER BY step", key
            )
            if rows != logged:
                found.append(f"{key} has {len(rows)} steps in the store, {len(logged)} were logged")
        files = list((self.server.folder / "artifacts").rglob("steps/*.json"))
        if len(files) != len(logged) // 20:
            found.append(f"{len(files)} artifacts of {len(logged) // 20}")
        return found


class Training(Stage):
    """The training of this project."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder, server)
        self.clone.set_params({"train.epochs": 60, "tracking.offline": "refuse"})
        self.clone.commit("a longer training")
        self.clone.repro("inspect")
        self.command = ["dvc", "repro", "train"]

    def has_begun(self) -> bool:
        return bool(self._rows("train/loss"))

    def marks(self) -> list[str]:
        losses = (self.clone.root / "reports/train/losses.csv").read_text().splitlines()
        steps = list(range(1, len(losses)))
        say(f"{len(steps)} steps")
        share, longest = (self._rows(f"tracking/{name}")[0][1] for name in ("share", "longest_s"))
        found = waits(share, longest)
        for key in ("train/loss", "learning_rate", "images_per_s"):
            rows = self._rows(key)
            if [step for step, _, _ in rows] != steps:
                found.append(f"{key} has {len(rows)} steps in the store, {len(steps)} were done")
        times = [at for _, _, at in self._rows("train/loss")]
        speeds = [speed for _, speed, _ in self._rows("images_per_s")]
        off = sum(
            abs((later - earlier) / 1000 - 8 / speed) > 1.0
            for earlier, later, speed in zip(times, times[1:], speeds[1:], strict=False)
        )
        if off > len(steps) // 20:  # an epoch's end takes time of its own
            found.append(f"{off} steps have another time than that at which they were done")
        return found

    def _rows(self, key: str) -> list[tuple]:
        return self.server.ask(
            "SELECT m.step, m.value, m.timestamp FROM metrics m JOIN tags t"
            " ON t.run_uuid = m.run_uuid AND t.key = 'dvc.stage' AND t.value = 'train'"
            " WHERE m.key = ? ORDER BY m.step, m.timestamp",
            key,
        )


def waits(share: float, longest_s: float) -> list[str]:
    say(f"waited {share:.3%} of the time, {longest_s:.3f} s at most")
    found = [] if share <= MOST_SHARE else [f"waited {share:.2%} of its time"]
    return found + ([] if longest_s <= LONGEST_STEP_S else [f"a step waited {longest_s:.2f} s"])


def trial(top: Path, kind: Callable[[Path, Server], Stage], *, gone: bool) -> list[str]:
    """Run a stage through all outages: what shows of them."""
    for name in ("server", "clone"):
        (top / name).mkdir()
    server = Server(top / "server")
    server.start()
    try:
        stage = kind(top / "clone", server)
        running = subprocess.Popen(
            stage.command,
            cwd=stage.clone.root,
            env=stage.clone.environment,
            stdout=subprocess.DEVNULL,
            stderr=(top / "said").open("w"),
        )
        deadline = time.monotonic() + PATIENCE_S
        while not stage.has_begun():
            assert time.monotonic() < deadline and running.poll() is None, said(top)
            time.sleep(0.1)
        outages(server, running)
        if gone:
            time.sleep(1)
            server.kill()
            say("gone")
        stage.enough()
        code = running.wait(timeout=20 * 60)
        found = [f"exit code {code}: {said(top)}"] if code else []
        if gone:
            server.start()
            say(stage.clone.run("lineage", "sync").stdout.strip().splitlines()[0])
        found += stage.marks()
        stage.clone.commit("a run")
        stage.clone.run("lineage", "verify")
    finally:
        server.kill()
    return found


def outages(server: Server, running: "subprocess.Popen[bytes]") -> None:
    """All of them, one after the other, while the stage runs."""
    began = time.monotonic()
    for what in ("killed", "500s", "killed", "hangs", "killed"):
        time.sleep(2)
        say(f"{time.monotonic() - began:6.1f} s: {what}")
        if what == "killed":
            server.kill()
        with {"500s": server.broken, "hangs": server.hanging}.get(what, nullcontext)():
            time.sleep(AWAY_S)
        if what == "killed":
            server.start()
        assert running.poll() is None, f"the stage ended before it was through: {what}"


def said(top: Path) -> str:
    return (top / "said").read_text()[-2000:]


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    kinds = {"training": Training, "lineage": Toy}
    options = argparse.ArgumentParser(prog="tests.faults.outages")
    options.add_argument("--of", choices=kinds, default="lineage", help="the stage")
    options.add_argument("--gone", action="store_true", help="and then for good")
    told = options.parse_args()
    with tempfile.TemporaryDirectory() as top:
        found = trial(Path(top), kinds[told.of], gone=told.gone)
    say("; ".join(found) or "nothing shows")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
