"""What it costs to convert a dataset and to keep versions of it; ``make bench-data``.

A dataset of the size of COCO's val2017 is made of real images where they are beside the
project, else of the generated sample. Conversion is timed in turns with its peers, medians of
several rounds; what a change of a dataset costs is how many bytes of its new version no file
of the old one has, which is what ``dvc push`` moves.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.coco_set import CocoSet, Json, Source, build, read_sources, spread_ids

REAL = Path(__file__).resolve().parents[1].parent / "shared" / "data"
Figures = dict[str, Any]

CONVERT = """
import json, re, sys, time
from pathlib import Path
from cocopipe.coco.convert import convert
def peak_mb():  # not ru_maxrss, which a process inherits from the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
raw, out, workers = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
for name in ("train", "val"):
    (out / name).mkdir(parents=True)
before = peak_mb()
start = time.perf_counter()
convert(raw, out / "train", out / "val", validation_fraction=0.2, subset=None,
        on_missing="error", workers=workers)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "peak_mb": peak_mb(), "import_mb": before}))
"""
"""In a process of its own, so that memory is its own too."""

HUGGING_FACE = """
import json, sys, time
from collections import defaultdict
from pathlib import Path
import datasets
document, folder, out = map(Path, sys.argv[1:])
start = time.perf_counter()
content = json.loads(document.read_text())
objects = defaultdict(list)
for annotation in content["annotations"]:
    objects[annotation["image_id"]].append(annotation)
features = datasets.Features({
    "image_id": datasets.Value("int64"), "image": datasets.Image(),
    "objects": {"bbox": datasets.List(datasets.List(datasets.Value("float64"))),
                "category": datasets.List(datasets.Value("int64"))},
})
def rows():
    for image in content["images"]:
        yield {"image_id": image["id"],
               "image": {"bytes": (folder / image["file_name"]).read_bytes(), "path": None},
               "objects": {"bbox": [one["bbox"] for one in objects[image["id"]]],
                           "category": [one["category_id"] for one in objects[image["id"]]]}}
made = datasets.Dataset.from_generator(rows, features=features, cache_dir=str(out / "cache"))
made.to_parquet(str(out / "data.parquet"))
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def main() -> None:
    """Make the set, measure, print ratios; writes all figures as JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-data-", dir=options.folder) as name:
        folder = Path(name)
        sources, categories = _sources(folder)
        made = build(folder / "set", sources, categories, spread_ids(options.images))
        print(f"{made.images:,} images, {made.image_bytes / 1e6:,.0f} MB")
        figures: Figures = {"images": made.images, "image_bytes": made.image_bytes}
        figures["convert"] = conversion(made, folder / "convert", options.rounds)
        figures["versions"] = versions(made, folder / "versions")
        shutil.rmtree(folder / "set")
        figures["memory"] = memory(sources, categories, folder / "memory")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _sources(folder: Path) -> tuple[list[Source], list[Json]]:
    if not REAL.is_dir():
        from cocopipe.sources.sample import write_sample

        raw = folder / "sample"
        raw.mkdir()
        write_sample(raw, images=360, size=640, seed=0)
        (document,) = (raw / "annotations").glob("*.json")
        return read_sources((document, raw / document.stem.rpartition("_")[2]))
    return read_sources(
        *(
            (REAL / name / "annotations" / f"instances_{split}.json", REAL / name / split)
            for name, split in (
                ("coco128", "train2017"),
                ("coco_mini", "train2017"),
                ("coco_mini", "val2017"),
            )
        )
    )


# Conversion beside its peers.


def conversion(made: CocoSet, folder: Path, rounds: int) -> Figures:
    """Seconds of converting, copying, unpacking and the Hugging Face way, in turns."""
    ways: dict[str, Callable[[Path], float]] = {
        "convert": lambda out: float(converted(made.archives, out)["seconds"]),
        "cp -r and sync": lambda out: timed(
            "sh", "-c", 'cp -r "$1" "$2" && sync', "sh", str(made.pictures), str(out)
        ),
        "unzip": lambda out: timed(
            "unzip", "-q", str(made.archives / f"{made.pictures.name}.zip"), "-d", str(out)
        ),
        "Hugging Face": lambda out: float(
            script(HUGGING_FACE, made.document, made.pictures, out)["seconds"]
        ),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            with emptied(folder) as out:
                taken[name].append(way(out))
    seconds = {name: statistics.median(each) for name, each in taken.items()}
    with emptied(folder) as out:
        converted(made.archives, out)
        stored = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    ratio = {name: seconds["convert"] / each for name, each in seconds.items()}
    print("\nconvert, 2 workers, archive to store and table")
    for name, each in seconds.items():
        print(f"  {name:16}{each:7.2f} s   rounds {' '.join(f'{one:.2f}' for one in taken[name])}")
    line("cp -r and sync", ratio["cp -r and sync"], 1.5)
    line("unzip", ratio["unzip"], 1.0)
    line("Hugging Face", ratio["Hugging Face"], 0.2)
    line("bytes of the raw images", stored / made.image_bytes, 1.01)
    return {"seconds": seconds, "rounds": taken, "stored_bytes": stored}


def converted(archives: Path, out: Path) -> Figures:
    """Convert in a process of its own."""
    return script(CONVERT, archives, out, 2)


def script(code: str, *arguments: object) -> Figures:
    """Run Python code, which prints its figures."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def timed(*command: str) -> float:
    """Seconds that a command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


@contextmanager
def emptied(folder: Path) -> Iterator[Path]:
    """A folder that is not there before and after."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.sync()
    yield folder / "out"
    shutil.rmtree(folder)


def line(peer: str, ratio: float, allowed: float) -> None:
    """Print a ratio beside its target."""
    verdict = "met" if ratio <= allowed else "MISSED"
    print(f"  {ratio:7.3f} times {peer}, allowed {allowed:g}   {verdict}")


# What a new version of a dataset costs.


def versions(made: CocoSet, folder: Path) -> Figures:
    """Share of a dataset's bytes that a change of 1 % of it makes new, by way of keeping it."""
    base = read_set(made)
    changes = {
        "1 % relabelled": relabelled(base),
        "1 % added at the end": added(base, at_end=True),
        "1 % added at random ids": added(base, at_end=False),
        "1 % removed": removed(base, len(base) // 100),
        "1 image removed": removed(base, 1),
    }
    ways = {"tables": as_tables, "raw folder": as_files}
    before = {name: way(base, folder / "before" / name) for name, way in ways.items()}
    figures: Figures = {}
    print("\nshare of a version's bytes that are new, which `dvc push` moves")
    for change, after in changes.items():
        figures[change] = {}
        for name, way in ways.items():
            files = way(after, folder / "after" / name)
            shutil.rmtree(folder / "after", ignore_errors=True)
            known = {digest for digest, _ in before[name].values()}
            new = {digest: size for digest, size in files.values() if digest not in known}
            share = sum(new.values()) / sum(size for _, size in files.values())
            figures[change][name] = {"share": share, "files": len(new)}
        shown = "   ".join(
            f"{name} {each['share']:7.2%} in {each['files']:,} files"
            for name, each in figures[change].items()
        )
        print(f"  {change:26}{shown}")
    shutil.rmtree(folder)
    line("all bytes, 1 % relabelled", figures["1 % relabelled"]["tables"]["share"], 0.01)
    line("all bytes, 1 % at the end", figures["1 % added at the end"]["tables"]["share"], 0.03)
    return figures


Entries = dict[int, tuple[Json, bytes, list[Json]]]
"""Image id -> COCO image, its file, its annotations."""


def read_set(made: CocoSet) -> Entries:
    """The whole dataset in memory."""
    content = json.loads(made.document.read_text(encoding="utf-8"))
    of_image: dict[int, list[Json]] = {}
    for annotation in content["annotations"]:
        of_image.setdefault(annotation["image_id"], []).append(annotation)
    return {
        image["id"]: (
            image,
            (made.pictures / image["file_name"]).read_bytes(),
            of_image.get(image["id"], []),
        )
        for image in content["images"]
    }


def relabelled(base: Entries) -> Entries:
    """Every box of 1 % of the images is a pixel further right."""
    chosen = set(random.Random(1).sample(sorted(base), len(base) // 100))
    return {
        image_id: (
            image,
            data,
            [
                {**one, "bbox": [one["bbox"][0] + 1, *one["bbox"][1:]]}
                if image_id in chosen
                else one
                for one in annotations
            ],
        )
        for image_id, (image, data, annotations) in base.items()
    }


def added(base: Entries, *, at_end: bool) -> Entries:
    """1 % more images: copies under new ids."""
    count = len(base) // 100
    highest = max(base)
    free = sorted(set(range(1, highest)) - base.keys())
    ids = (
        list(range(highest + 1, highest + 1 + count))
        if at_end
        else random.Random(2).sample(free, count)
    )
    copies: Entries = {}
    for new_id, (image, data, annotations) in zip(ids, list(base.values())[:count], strict=True):
        more = data[:2] + b"\xff\xfe\x00\x0a" + f"{new_id:08d}".encode() + data[2:]
        copies[new_id] = (
            {**image, "id": new_id, "file_name": f"{new_id:012d}.jpg"},
            more,
            [
                {**one, "id": new_id * 1000 + place, "image_id": new_id}
                for place, one in enumerate(annotations)
            ],
        )
    return dict(sorted({**base, **copies}.items()))


def removed(base: Entries, count: int) -> Entries:
    """Without so many images."""
    gone = set(random.Random(3).sample(sorted(base), count))
    return {image_id: entry for image_id, entry in base.items() if image_id not in gone}


def as_files(entries: Entries, out: Path) -> Mapping[str, tuple[str, int]]:
    """Path -> hash and size of a raw COCO folder; nothing is written."""
    del out
    document = json.dumps(_content(entries)).encode()
    files = {image["file_name"]: data for image, data, _ in entries.values()}
    return {
        name: (hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data))
        for name, data in {**files, "instances.json": document}.items()
    }


def as_tables(entries: Entries, out: Path) -> Mapping[str, tuple[str, int]]:
    """The same of what convert writes."""
    raw = out / "raw"
    (raw / "val2017").mkdir(parents=True)
    (raw / "annotations").mkdir()
    for image, data, _ in entries.values():
        (raw / "val2017" / image["file_name"]).write_bytes(data)
    document = raw / "annotations" / "instances_val2017.json"
    document.write_text(json.dumps(_content(entries)), encoding="utf-8")
    converted(raw, out / "tables")
    files = {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in (out / "tables").rglob("*.parquet")
    }
    shutil.rmtree(out)
    return {
        name: (hashlib.md5(data, usedforsecurity=False).hexdigest(), len(data))
        for name, data in files.items()
    }


def _content(entries: Entries) -> Json:
    names = {one["category_id"] for *_, found in entries.values() for one in found}
    return {
        "images": [image for image, *_ in entries.values()],
        "annotations": [one for *_, found in entries.values() for one in found],
        "categories": [{"id": each, "name": str(each)} for each in sorted(names)],
    }


# Memory.


def memory(sources: list[Source], categories: list[Json], folder: Path) -> Figures:
    """Peak memory of converting 5,000 and 50,000 images, small ones, side by side."""
    small = sorted(sources, key=lambda source: len(source.data))[:20]
    figures: Figures = {}
    print("\npeak memory of convert, 2 workers, small images")
    for count in (5_000, 50_000):
        made = build(folder / "set", small, categories, spread_ids(count))
        found = converted(made.archives, folder / "out")
        shutil.rmtree(folder)
        figures[str(count)] = found
        print(
            f"  {count:7,} images, {made.image_bytes / 1e6:7,.0f} MB: {found['peak_mb']:7.0f} MB,"
            f" {found['import_mb']:.0f} MB of it before any work"
        )
    return figures


if __name__ == "__main__":
    main()
