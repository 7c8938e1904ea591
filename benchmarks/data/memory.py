"""Memory of converting."""

import json
from pathlib import Path

from benchmarks.data.coco_set import CocoSet, Json, Source, entries, spread_ids
from benchmarks.data.measure import Figures, at_most, script
from benchmarks.data.ways import converted

ANNOTATIONS = 860_000
"""Of COCO's train2017, in 448 MB of JSON."""

READ = """
import json, re, sys, time
from pathlib import Path
from cocopipe.coco.zips import DiskFile
from cocopipe.convert.columns import read
from cocopipe.convert.gathered import Gathered
path, out = map(Path, sys.argv[1:])
out.mkdir()
start = time.perf_counter()
document, images = read(DiskFile(path.parent, path.name, path.stat().st_size), name="instances")
gathered = Gathered(document, images, document.coco.image_ids, out / "aside")
gathered.read()
for _ in gathered.groups():
    pass
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"seconds": time.perf_counter() - start, "peak_mb": peak}))
"""


def memory(few: CocoSet, many: CocoSet, folder: Path) -> Figures:
    """Peak memory of converting 5,000 and 50,000 small images, side by side."""
    figures: Figures = {}
    print("\npeak memory of convert, 2 workers, small images")
    for made in (few, many):
        found = converted(made.archives, folder / str(made.images))
        figures[str(made.images)] = found
        print(
            f"  {made.images:7,} images, {made.image_bytes / 1e6:7,.0f} MB:"
            f" {found['peak_mb']:7.0f} MB, {found['import_mb']:.0f} MB of it before any work"
        )
    ratio = figures[str(many.images)]["peak_mb"] / figures[str(few.images)]["peak_mb"]
    at_most(f"times as much for {many.images // few.images} times the images", ratio, 1.1)
    return figures


def annotations(sources: list[Source], categories: list[Json], folder: Path) -> Figures:
    """Peak memory of reading as many annotations as train2017 has, as columns by image."""
    folder.mkdir(parents=True)
    path = folder / "instances_train2017.json"
    count = write_document(path, sources, categories)
    found = script(READ, path, folder / "out")
    text_mb = path.stat().st_size / 1e6
    print(f"\n{count:,} annotations, {text_mb:,.0f} MB of JSON, to columns by image")
    print(f"  {found['seconds']:.1f} s")
    at_most("GB at the peak", found["peak_mb"] / 1024, 4)
    return {"annotations": count, "text_mb": text_mb, **found}


def write_document(path: Path, sources: list[Source], categories: list[Json]) -> int:
    """Write one of the size of train2017's; how many annotations it has."""
    count = 0
    mean = sum(len(source.annotations) for source in sources) / len(sources)
    ids = spread_ids(int(ANNOTATIONS / mean))
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps({"info": {}, "categories": categories})[:-1] + ', "images": [')
        bare = [Source(b"\xff\xd8", source.image, source.annotations) for source in sources]
        separator = ""
        for image, _, _ in entries(bare, ids):
            file.write(separator + json.dumps(image))
            separator = ", "
        file.write('], "annotations": [')
        separator = ""
        for _, _, objects in entries(bare, ids):
            for each in objects:
                file.write(separator + json.dumps(each))
                separator = ", "
                count += 1
        file.write("]}")
    return count
