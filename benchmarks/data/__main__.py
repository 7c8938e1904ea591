"""What it costs to convert a dataset, to keep versions of it and to read it; `make bench-data`.

A dataset of the size of COCO's val2017 is made of real images where they are beside the
project, else of the generated sample. Everything is timed in turns with its peers, medians
of several rounds, and printed as ratios beside the targets.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.data.coco_set import Json, Source, build, read_sources, spread_ids
from benchmarks.data.conversion import conversion
from benchmarks.data.dvc_cost import adding, status, versions
from benchmarks.data.frontier import SIZES_MB, frontier
from benchmarks.data.measure import Figures
from benchmarks.data.memory import annotations, memory
from benchmarks.data.plot import plot
from benchmarks.data.reading import reading

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data"
PARTS = ("convert", "dvc", "versions", "reading", "many", "annotations", "frontier")


def main() -> None:
    """Make the sets and measure; writes the figures as JSON, and a plot, if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--many", type=int, default=50_000, help="small ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--sizes", nargs="+", type=float, default=SIZES_MB, help="of shards, MiB")
    parser.add_argument("--sets", nargs="+", help="of the frontier: those of these names")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="write a picture of them here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-data-", dir=options.folder) as name:
        figures = measured(Path(name), options)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        plot(figures, options.plot)


def measured(folder: Path, options: argparse.Namespace) -> Figures:
    """All figures that are asked for."""
    sources, categories = _sources(folder)
    made = build(folder / "set", sources, categories, spread_ids(options.images))
    print(f"{made.images:,} images, {made.image_bytes / 1e6:,.0f} MB")
    figures: Figures = {"images": made.images, "image_bytes": made.image_bytes}
    if "convert" in options.only:
        figures["convert"] = conversion(made, folder / "convert", options.rounds)
    if "dvc" in options.only:
        figures["dvc add and push"] = adding(made, folder / "dvc", options.rounds)
    if "versions" in options.only:
        figures["versions"] = versions(made, folder / "versions")
    if "reading" in options.only:
        figures["reading"] = reading(made, folder / "reading", options.rounds)
    for each in folder.iterdir():
        if "frontier" not in options.only or each.name != "set":
            shutil.rmtree(each)
    small = sorted(sources, key=lambda source: len(source.data))[:20]
    if "frontier" in options.only:
        many = build(folder / "small", small, categories, spread_ids(options.many))
        sets = {"as COCO has them": made, "small": many}
        sets = {name: sets[name] for name in options.sets or sets}
        figures["frontier"] = frontier(sets, folder / "frontier", options.sizes)
        for each in folder.iterdir():
            shutil.rmtree(each)
    if "many" in options.only:
        few, many = (
            build(folder / f"small-{count}", small, categories, spread_ids(count))
            for count in (options.images, options.many)
        )
        figures["memory"] = memory(few, many, folder / "memory")
        shutil.rmtree(folder / "memory")
        figures["dvc status"] = status(many, folder / "status", options.rounds)
    if "annotations" in options.only:
        figures["annotations"] = annotations(sources, categories, folder / "annotations")
    return figures


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


if __name__ == "__main__":
    main()
