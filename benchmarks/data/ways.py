"""The ways of keeping a dataset that are compared."""

from pathlib import Path

import yaml

from benchmarks.data.measure import Figures, script

CONVERT = """
import json, re, sys, time
from pathlib import Path
import pandas  # which pyarrow imports when it makes its first array
from cocopipe.convert.convert import convert
from cocopipe.convert.settings import ConvertSettings
def peak_mb():  # not ru_maxrss, which a process inherits from the one that started it
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
raw, out, workers, shard_mb = Path(sys.argv[1]), Path(sys.argv[2]), *map(float, sys.argv[3:])
folders = {role: out / role for role in ("train", "val", "test")}
for folder in folders.values():
    folder.mkdir(parents=True)
before = peak_mb()
start = time.perf_counter()
settings = ConvertSettings(splits={}, validation_fraction=0.2, test_fraction=0.0, group=None,
                           shard_mb=shard_mb, subset=None, on_missing="error",
                           on_mismatch="keep", verify="header")
convert(raw, folders, settings, workers=int(workers))
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
image_bytes = sum(path.stat().st_size for path in folder.iterdir())
shards = -(-image_bytes // 500_000_000)  # what `datasets` puts into a file on the Hub
for number in range(shards):
    part = made.shard(shards, number, contiguous=True)
    part.to_parquet(str(out / f"train-{number:05d}-of-{shards:05d}.parquet"))
print(json.dumps({"seconds": time.perf_counter() - start}))
"""


def converted(raw: Path, out: Path, shard_mb: float | None = None) -> Figures:
    """Convert in a process of its own, with two workers; shards as params.yaml has them."""
    return script(CONVERT, raw, out, 2, shard_mb or default_shard_mb())


def default_shard_mb() -> float:
    """What params.yaml says."""
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8"))
    return float(params["convert"]["shard_mb"])


def hugging_face(document: Path, pictures: Path, out: Path) -> Figures:
    """Make the Parquet folder that Hugging Face's documentation leads to."""
    return script(HUGGING_FACE, document, pictures, out)
