"""How large shards should be: what each size costs, over all of a dataset's life."""

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from benchmarks.data import changes
from benchmarks.data.changes import Entries
from benchmarks.data.coco_set import CocoSet
from benchmarks.data.dvc_cost import DVC, as_tables, moved, new_repository, pushed
from benchmarks.data.measure import Figures, script, timed
from benchmarks.data.ways import converted

SIZES_MB = (0.5, 1.0, 2.0, 4.0, 8.0)

CHANGES: Mapping[str, Callable[[Entries], Entries]] = {
    "random": partial(changes.added, at_end=False),
    "end": partial(changes.added, at_end=True),
    "removed": lambda base: changes.removed(base, len(base) // 100),
    "one": partial(changes.added, at_end=False, count=1),
}
"""1 % of the images, but for the last."""

READ = """
import json, sys, time
from itertools import islice
from pathlib import Path
import torch
from cocopipe.detect.reading.images import Images
from cocopipe.stream import Stream
torch.set_num_threads(1)
stream = Stream(Images(Path(sys.argv[1])), seed=0)
start = time.perf_counter()
done = sum(1 for _ in islice(stream, 1500))
print(json.dumps({"rate": done / (time.perf_counter() - start)}))
"""
"""Images a second, decoded, in a process and thread of its own."""


def frontier(sets: Mapping[str, CocoSet], folder: Path, sizes: Sequence[float]) -> Figures:
    """What every size costs for every dataset, as a table."""
    figures: Figures = {}
    for name, made in sets.items():
        print(
            f"\nsizes of shards, {name}: {made.images:,} images, {made.image_bytes / 1e6:,.0f} MB"
        )
        columns = "".join(f"{name:>10}" for name in (*CHANGES, "add, s", "push, s", "status, s"))
        print(f"  {'MiB':>5}{'files':>8}{columns}{'read/s':>8}")
        base = changes.read_set(made)
        changed = {change: make(base) for change, make in CHANGES.items()}
        figures[name] = {}
        for size in sizes:
            found = _of_size(made, base, changed, folder, size)
            figures[name][str(size)] = found
            shares = "".join(f"{found['shares'][change]:10.2%}" for change in CHANGES)
            seconds = "".join(f"{found[what]:10.2f}" for what in ("add", "push", "status"))
            print(f"  {size:5g}{found['files']:8,}{shares}{seconds}{found['rate']:8.0f}")
    return figures


def _of_size(
    made: CocoSet, base: Entries, changed: Mapping[str, Entries], folder: Path, size: float
) -> Figures:
    repository = new_repository(folder / "repository")
    remote, data = folder / "remote", repository / "data"
    converted(made.archives, data, size)
    subprocess.run(["sync"], check=True)
    found: Figures = {
        "files": sum(1 for path in data.rglob("*.parquet")),
        "add": timed(*DVC, "add", "--quiet", "data", cwd=repository),
        "push": timed(*DVC, "push", "--quiet", cwd=repository),
        "status": timed(*DVC, "status", "--quiet", cwd=repository),
        "rate": script(READ, data / "train")["rate"],
    }
    way = partial(as_tables, shard_mb=size)
    pushed(base, way, repository)
    before = set(remote.rglob("*"))
    found["shares"] = {
        change: moved(entries, way, repository, remote, before)["share"]
        for change, entries in changed.items()
    }
    shutil.rmtree(folder)
    return found
