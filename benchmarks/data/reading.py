"""Reading a dataset with decoding: images a second, beside the peers."""

import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.data.coco_set import CocoSet
from benchmarks.data.measure import Figures, at_least, in_turns, print_in_turns
from benchmarks.data.ways import converted, hugging_face

IMAGES = 1500
"""That each way of reading is timed on, in each round."""

BATCH = 16
WANTED = {
    "Stream": {
        "decode, files in memory": 0.95,
        "CocoDetection": 1.05,
        "Hugging Face": 1.05,
        "Hugging Face, streaming": 1.4,
    },
    "Detections, Shuffled": {"CocoDetection": 1.05, "Hugging Face": 1.05},
}
"""The least ratios; what is read by index cannot be read ahead."""

SMALL = 160
"""Shorter side of a model's input that is half of nearly all of COCO's, pixels."""


def reading(made: CocoSet, folder: Path, rounds: int) -> Figures:
    """All ways in one process with one thread, then loaders with workers, then reduced sizes."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import torch

    torch.set_num_threads(1)
    converted(made.archives, folder / "tables")
    hugging_face(made.document, made.pictures, folder / "hf")
    split = folder / "tables" / "train"
    return {
        "one process": one_process(split, made, folder, rounds),
        "workers": workers(split, rounds),
        "reduced": reduced(split, rounds),
    }


def rate(samples: Iterable[Any], count: int = IMAGES) -> float:
    """Images a second of the first ``count``."""
    start = time.perf_counter()
    done = sum(1 for _ in islice(samples, count))
    return done / (time.perf_counter() - start)


def one_process(split: Path, made: CocoSet, folder: Path, rounds: int) -> Figures:
    """Beside decoding what is in memory already."""
    import datasets
    from torchvision.datasets import CocoDetection
    from torchvision.transforms.functional import pil_to_tensor

    from cocopipe.detect.reading.decoding import decode
    from cocopipe.detect.reading.order import Shuffled
    from cocopipe.detect.training.detections import Detections
    from cocopipe.stream import Stream

    labels = {one["id"]: one["id"] for one in json.loads(made.document.read_text())["categories"]}
    ours = Detections(split, labels=labels, masks=False, augment=None, seed=0)
    files = [ours.images.file(index).clone() for index in range(IMAGES)]
    coco = _quietly(lambda: CocoDetection(str(made.pictures), str(made.document)))
    parquet = sorted(map(str, (folder / "hf").glob("*.parquet")))
    cache = str(folder / "hf" / "opened")
    table = datasets.load_dataset("parquet", data_files=parquet, split="train", cache_dir=cache)
    stream = datasets.load_dataset("parquet", data_files=parquet, split="train", streaming=True)

    def our_map() -> Iterator[Any]:
        return (ours[key] for key in Shuffled(ours.images.groups, seed=0))

    def tensors_of(samples: Iterable[Any]) -> Iterator[Any]:
        return ((pil_to_tensor(image), target) for image, target in samples)

    ways: dict[str, Callable[[], Iterable[Any]]] = {
        "decode, files in memory": lambda: (decode(data) for data in files),
        "Stream": lambda: Stream(ours, seed=0),
        "Detections, Shuffled": our_map,
        "CocoDetection": lambda: (coco[index] for index in range(len(coco))),
        "CocoDetection, to tensors": lambda: tensors_of(coco[index] for index in range(len(coco))),
        "Hugging Face": lambda: table,
        "Hugging Face, streaming": lambda: stream,
    }
    print("\nreading with decode, one process, one thread, shuffled where it is ours")
    figures = in_turns({name: _timed(way) for name, way in ways.items()}, rounds)
    print_in_turns(figures, "images/s")
    rates = figures["medians"]
    for name, peers in WANTED.items():
        for peer, wanted in peers.items():
            at_least(f"{name} to {peer}", rates[name] / rates[peer], wanted)
    return figures


def _timed(way: Callable[[], Iterable[Any]]) -> Callable[[], float]:
    return lambda: rate(way())


def _quietly(make: Callable[[], Any]) -> Any:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        return make()


def workers(split: Path, rounds: int) -> Figures:
    """A loader's second epoch, when its workers are there."""
    import torch

    from cocopipe.detect.reading.images import Images
    from cocopipe.detect.reading.loading import decoded, loader
    from cocopipe.stream import Stream

    def of(count: int) -> Callable[[], float]:
        stream = Stream(Images(split), seed=0)
        source = loader(stream, batch_size=BATCH, workers=count, device=torch.device("cpu"))
        for _ in islice(source, 2 * count):
            pass

        def run() -> float:
            stream.epoch += 1
            coming = decoded(source)
            next(coming)
            start = time.perf_counter()
            done = sum(len(images) for images, _ in coming)
            return done / (time.perf_counter() - start)

        return run

    print("\na loader of the Stream")
    figures = in_turns({"1 worker": of(1), "2 workers": of(2)}, rounds)
    print_in_turns(figures, "images/s")
    rates = figures["medians"]
    at_least("times as fast with 2 workers as with 1", rates["2 workers"] / rates["1 worker"], 1.8)
    return figures


def reduced(split: Path, rounds: int) -> Figures:
    """Up to what a model of small input takes, and decoding alone, at full and at reduced size.

    By index it is one thread that decodes and resizes; a `Stream` decodes in one beside it.
    """
    import torch
    from torchvision.models.detection.transform import GeneralizedRCNNTransform

    from cocopipe.detect.reading.images import Images
    from cocopipe.detect.reading.order import Shuffled
    from cocopipe.stream import Stream

    mean, deviation = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    seen = GeneralizedRCNNTransform(SMALL, SMALL * 1333 // 800, mean, deviation)

    def by_index(images: Images) -> Iterator[Any]:
        return (images[key] for key in Shuffled(images.groups, seed=0))

    def streamed(images: Images) -> Iterator[Any]:
        return iter(Stream(images, seed=0))

    def inputs(samples: Iterable[Any]) -> Iterator[Any]:
        with torch.inference_mode():
            for image, _ in samples:
                yield seen([image.float() / 255])

    whole, small = Images(split), Images(split, shortest_side=SMALL)
    ways: dict[str, Callable[[], Iterable[Any]]] = {
        "all pixels, by index": lambda: inputs(by_index(whole)),
        "reduced, by index": lambda: inputs(by_index(small)),
        "all pixels, streamed": lambda: inputs(streamed(whole)),
        "reduced, streamed": lambda: inputs(streamed(small)),
        "all pixels, only decoded": lambda: by_index(whole),
        "reduced, only decoded": lambda: by_index(small),
    }
    print(f"\nfor a model whose input is {SMALL} pixels, half of nearly all images at most")
    figures = in_turns({name: _timed(way) for name, way in ways.items()}, rounds)
    print_in_turns(figures, "images/s")
    rates = figures["medians"]
    for how in ("by index", "streamed"):
        faster = rates[f"reduced, {how}"] / rates[f"all pixels, {how}"]
        at_least(f"times as fast up to the model's input, {how}", faster, 1.5)
    alone = rates["reduced, only decoded"] / rates["all pixels, only decoded"]
    print(f"  {alone:7.3f} times as fast up to the decoded image")
    return figures
