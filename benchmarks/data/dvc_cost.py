"""What DVC takes to keep a dataset: adding and pushing it, its status, and its next version."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from benchmarks.data import changes
from benchmarks.data.changes import Entries
from benchmarks.data.coco_set import SPLIT, CocoSet
from benchmarks.data.measure import (
    Figures,
    at_least,
    at_most,
    emptied,
    in_turns,
    print_in_turns,
    size_of,
    timed,
)
from benchmarks.data.round_trips import BACK, print_told, told
from benchmarks.data.ways import converted, hugging_face

DVC = (sys.executable, "-m", "dvc")
TABLES, RAW, HUGGING_FACE = "tables", "raw folder", "Hugging Face"


def new_repository(folder: Path) -> Path:
    """A DVC repository with a remote beside it, set up as this project's is."""
    folder.mkdir(parents=True)
    for command in (
        ("init", "--no-scm", "--quiet"),
        ("config", "core.analytics", "false"),
        ("config", "cache.type", "reflink,hardlink,symlink,copy"),
        ("remote", "add", "--quiet", "-d", "here", str(folder.with_name("remote"))),
    ):
        subprocess.run([*DVC, *command], cwd=folder, check=True)
    return folder


def added_and_pushed(data: Path, folder: Path) -> float:
    """Seconds of ``dvc add`` and ``dvc push`` of a folder, in a new repository."""
    with emptied(folder):
        repository = new_repository(folder / "repository")
        shutil.copytree(data, repository / "data")
        subprocess.run(["sync"], check=True)
        return timed(*DVC, "add", "--quiet", "data", cwd=repository) + timed(
            *DVC, "push", "--quiet", cwd=repository
        )


def adding(made: CocoSet, folder: Path, rounds: int) -> Figures:
    """Seconds to add and push the raw folder, and what it was converted to."""
    tables = folder / "tables"
    converted(made.archives, tables)
    print(f"\ndvc add and dvc push to a local remote, {made.images:,} images")
    figures = in_turns(
        {
            TABLES: lambda: added_and_pushed(tables, folder / "work"),
            RAW: lambda: added_and_pushed(made.files, folder / "work"),
        },
        rounds,
    )
    print_in_turns(figures, "s")
    seconds = figures["medians"]
    at_least("times as fast as the raw folder", seconds[RAW] / seconds[TABLES], 2)
    shutil.rmtree(folder)
    return figures


def status(made: CocoSet, folder: Path, rounds: int) -> Figures:
    """Seconds of ``dvc status`` where nothing changed."""
    repositories = {}
    for name in (TABLES, RAW):
        repository = new_repository(folder / name.split()[0] / "repository")
        if name == TABLES:
            converted(made.archives, repository / "data")
        else:
            shutil.copytree(made.files, repository / "data")
        subprocess.run([*DVC, "add", "--quiet", "data"], cwd=repository, check=True)
        repositories[name] = repository
    print(f"\ndvc status, {made.images:,} small images")

    def asked(repository: Path) -> Callable[[], float]:
        return lambda: timed(*DVC, "status", "--quiet", cwd=repository)

    for repository in repositories.values():
        asked(repository)()
    figures = in_turns({name: asked(each) for name, each in repositories.items()}, rounds)
    print_in_turns(figures, "s")
    seconds = figures["medians"]
    at_least("times as fast as the raw folder", seconds[RAW] / seconds[TABLES], 3)
    shutil.rmtree(folder)
    return figures


# What the next version of a dataset costs.


def as_tables(entries: Entries, data: Path, shard_mb: float | None = None) -> None:
    """What convert makes of it."""
    raw = data.with_name("raw")
    changes.write_raw(entries, raw, SPLIT)
    converted(raw, data, shard_mb)
    shutil.rmtree(raw)


def as_raw(entries: Entries, data: Path) -> None:
    """The COCO directory itself."""
    changes.write_raw(entries, data, SPLIT)


def as_hugging_face(entries: Entries, data: Path) -> None:
    """A folder of Parquet files with images and labels."""
    raw = data.with_name("raw")
    changes.write_raw(entries, raw, SPLIT)
    hugging_face(raw / "annotations" / f"instances_{SPLIT}.json", raw / SPLIT, data)
    shutil.rmtree(data / "cache")
    shutil.rmtree(raw)


Way = Callable[[Entries, Path], None]
"""Writes a dataset into a new folder."""

WAYS: Mapping[str, Way] = {
    TABLES: as_tables,
    RAW: as_raw,
    HUGGING_FACE: as_hugging_face,
}


def versions(made: CocoSet, folder: Path) -> Figures:
    """Bytes that ``dvc push`` moves for a changed dataset, by way of keeping it.

    Of what comes back from annotation tools as tables, also what is told of it.
    """
    base = changes.read_set(made)
    changed = {
        "1 % relabelled": changes.relabelled(base),
        "1 % added at the end": changes.added(base, at_end=True),
        "1 % added at random names": changes.added(base, at_end=False),
        "1 % removed": changes.removed(base, len(base) // 100),
        "1 image added": changes.added(base, at_end=False, count=1),
        "1 image removed": changes.removed(base, 1),
        **{change: way(base) for change, way in BACK.items()},
    }
    figures: Figures = {change: {} for change in changed}
    for name, way in WAYS.items():
        repository = new_repository(folder / "repository")
        remote = folder / "remote"
        pushed(base, way, repository)
        before = set(remote.rglob("*"))
        shutil.copytree(
            repository / "data", folder / "before", ignore=shutil.ignore_patterns("images")
        )
        for change, entries in changed.items():
            figures[change][name] = moved(entries, way, repository, remote, before)
            if name == TABLES and change in BACK:
                figures[change][name] |= told(folder / "before", repository / "data")
        shutil.rmtree(folder)
    print("\nshare of a version's bytes that `dvc push` moves, and files")
    print(f"  {'':26}" + "".join(f"{name:>22}" for name in WAYS))
    for change, of_ways in figures.items():
        shown = "".join(f"{each['share']:14.2%}{each['files']:8,}" for each in of_ways.values())
        print(f"  {change:26}{shown}")
    at_most("of all bytes, 1 % relabelled", figures["1 % relabelled"][TABLES]["share"], 0.01)
    at_most("of all bytes, 1 % at the end", figures["1 % added at the end"][TABLES]["share"], 0.03)
    random = figures["1 % added at random names"][TABLES]["share"]
    at_most("of all bytes, 1 % at random", random, 0.12)
    for change in ("1 image added", "1 image removed"):
        at_most(f"shards, {change}", figures[change][TABLES]["shards"], 2)
    for change in BACK:
        at_most(f"bytes of pictures, {change}", figures[change][TABLES]["picture_bytes"], 0)
        print_told(change, figures[change][TABLES], len(base))
    return figures


def moved(
    entries: Entries, way: Way, repository: Path, remote: Path, before: Collection[Path]
) -> Figures:
    """What `dvc push` moves of a version to a remote that has these files, and has then."""
    whole = pushed(entries, way, repository)
    new = [path for path in remote.rglob("*") if path not in before and path.is_file()]
    files = {path.parent.name + path.name: path.stat().st_size for path in new}
    for path in new:
        path.unlink()
    tables = {
        hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        for path in (repository / "data").rglob("annotations/*.parquet")
    }
    pictures = {name: size for name, size in files.items() if name not in tables}
    pictures = {name: size for name, size in pictures.items() if not name.endswith(".dir")}
    return {
        "share": sum(files.values()) / whole,
        "files": sum(not name.endswith(".dir") for name in files),
        "shards": len(pictures),
        "picture_bytes": sum(pictures.values()),
    }


def pushed(entries: Entries, way: Way, repository: Path) -> int:
    """Add and push a version; its bytes."""
    data = repository / "data"
    shutil.rmtree(data, ignore_errors=True)
    way(entries, data)
    whole = size_of(data)
    subprocess.run([*DVC, "add", "--quiet", "data"], cwd=repository, check=True)
    subprocess.run([*DVC, "push", "--quiet"], cwd=repository, check=True)
    return whole
