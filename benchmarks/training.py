"""How fast a detector is trained here, beside torchvision's own way; `make bench-train`.

The same model, images, batch and threads, on the CPU, in turns, medians of several rounds. Then,
of our loop alone, what it waits for: data, checkpoints, and a tracking store. Last, how long the
results of 5,000 images take to be scored.
"""

import argparse
import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.utils.data import DataLoader, Subset
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2
from torchvision.transforms import v2

from benchmarks.data.__main__ import _sources
from benchmarks.data.coco_set import CocoSet, build, spread_ids
from benchmarks.data.measure import Figures, at_least, at_most, in_turns, print_in_turns
from benchmarks.data.ways import converted
from cocopipe.detect.network.detector import Detector
from cocopipe.detect.network.detector import build as new_detector
from cocopipe.detect.settings import Augment, Optimizer, Schedule, Training
from cocopipe.detect.training import loop
from cocopipe.detect.training.average_precision import AveragePrecision
from cocopipe.detect.training.checkpoints import Checkpoints
from cocopipe.detect.training.events import Step
from cocopipe.detect.training.team import Resources
from cocopipe.documents import PRIMARY
from cocopipe.split.tables import categories, image_ids

CPU = torch.device("cpu")
WARM_UP = 3
"""Steps before those that are timed."""

SETTINGS = Training(
    model="fcos_tiny",
    weights="none",
    image_size=256,
    epochs=1,
    eval_epochs=1,
    select="last",
    patience=None,
    ema=None,
    batch_size=8,
    compile=False,
    sync_norms=False,
    seed=0,
    optimizer=Optimizer(name="adamw", learning_rate=1e-4, weight_decay=1e-4, momentum=0.9),
    schedule=Schedule(name="constant", warmup_fraction=1.0),
    gradient_clip=None,
    augment=Augment(horizontal_flip=0.5, photometric=0.0, crop=0.0, scale=None),
)


class Waiting:
    """Seconds that the training waited, by what for."""

    def __init__(self) -> None:
        self.data_s = self.checkpoints_s = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """See to it that it is measured during the block."""
        batches, save = loop.batches, Checkpoints.save

        def timed_batches(*arguments: Any) -> Iterator[Any]:
            source = batches(*arguments)
            while True:
                began = time.perf_counter()
                try:
                    batch = next(source)
                except StopIteration:
                    return
                self.data_s += time.perf_counter() - began
                yield batch

        def timed_save(checkpoints: Checkpoints, learner: Any) -> None:
            began = time.perf_counter()
            save(checkpoints, learner)
            self.checkpoints_s += time.perf_counter() - began

        loop.batches, Checkpoints.save = timed_batches, timed_save  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            loop.batches, Checkpoints.save = batches, save  # type: ignore[method-assign]


def detector_of(split: Path) -> Detector:
    """Make the same new detector each time."""
    return new_detector(
        SETTINGS.model,
        categories=categories(split),
        weights=SETTINGS.weights,
        image_size=SETTINGS.image_size,
        seed=SETTINGS.seed,
    )


def ours(split: Path, workers: int, **how: Any) -> float:
    """Images a second of an epoch, without its validation."""
    events = loop.train(detector_of(split), split, split, SETTINGS, Resources(CPU, workers), **how)
    times = []
    for event in events:
        if not isinstance(event, Step):
            break
        times.append(time.perf_counter())
    events.close()
    return SETTINGS.batch_size * (len(times) - WARM_UP) / (times[-1] - times[WARM_UP - 1])


def torchvisions(made: CocoSet, split: Path, workers: int) -> float:
    """The same, as torchvision's reference for detection trains on COCO.

    Its transforms, collation, loop and check of every loss; without its printing.
    """
    transforms = v2.Compose(
        [v2.ToImage(), v2.RandomHorizontalFlip(0.5), v2.ToDtype(torch.float32, scale=True)]
    )
    dataset = wrap_dataset_for_transforms_v2(
        CocoDetection(str(made.pictures), str(made.document), transforms=transforms),
        target_keys=("boxes", "labels", "image_id"),
    )
    # The same images: some were divided off for validation.
    known = set(image_ids(split, PRIMARY).tolist())
    places = [place for place, number in enumerate(dataset.ids) if number in known]
    source = DataLoader(
        Subset(dataset, places),
        batch_size=SETTINGS.batch_size,
        shuffle=True,
        num_workers=workers,
        collate_fn=lambda batch: tuple(zip(*batch, strict=True)),
    )
    detector = detector_of(split)
    model, labels = detector.module.train(), detector.config.labels
    weights = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=1e-4, weight_decay=1e-4)
    times = []
    for images, targets in source:
        told = [_known(target, labels) for target in targets]
        losses = model(list(images), told)
        loss = torch.stack(list(losses.values())).sum()
        if not math.isfinite(loss.item()):
            raise SystemExit(f"loss is {loss.item()}")
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        times.append(time.perf_counter())
    return SETTINGS.batch_size * (len(times) - WARM_UP) / (times[-1] - times[WARM_UP - 1])


def _known(target: dict[str, Any], labels: Any) -> dict[str, Any]:
    """A target with labels that the model has; without objects it has no boxes of its own."""
    if "boxes" not in target:
        return {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    numbers = torch.tensor([labels[int(label)] for label in target["labels"]])
    sizes = target["boxes"][:, 2:] - target["boxes"][:, :2]
    usable = (sizes > 0).all(dim=1)
    return {"boxes": target["boxes"][usable], "labels": numbers[usable]}


def speed(made: CocoSet, split: Path, rounds: int, workers: int) -> Figures:
    """Images a second of both, in turns."""
    print(f"\nimages/s, {SETTINGS.model} at {SETTINGS.image_size} px, batch {SETTINGS.batch_size}")
    figures = in_turns(
        {
            "train": lambda: ours(split, workers),
            "torchvision's reference": lambda: torchvisions(made, split, workers),
        },
        rounds,
    )
    print_in_turns(figures, "images/s")
    medians = figures["medians"]
    at_least(
        "of torchvision's reference", medians["train"] / medians["torchvision's reference"], 1.0
    )
    return figures


def waiting(split: Path, folder: Path, workers: int, epochs: int) -> Figures:
    """Shares of the time of a training that it waits for data and for checkpoints."""
    waits, began = Waiting(), time.perf_counter()
    settings = replace(SETTINGS, epochs=epochs, eval_epochs=epochs)
    folder.mkdir()
    steps_s = 0.0
    with waits.measured():
        last = time.perf_counter()
        for event in loop.train(
            detector_of(split),
            split,
            split,
            settings,
            Resources(CPU, workers),
            Checkpoints(folder, every_s=1.0),
        ):
            if isinstance(event, Step):
                steps_s += time.perf_counter() - last
            last = time.perf_counter()
    whole_s = time.perf_counter() - began
    print(f"\nwaiting, {epochs} epochs, a checkpoint each second as far as it is allowed")
    at_most("of the steps: waiting for data", waits.data_s / steps_s, 0.03)
    at_most("of the time: checkpoints", waits.checkpoints_s / whole_s, 0.01)
    return {
        "data": waits.data_s / steps_s,
        "checkpoints": waits.checkpoints_s / whole_s,
    }


def scoring(images: int, each: int) -> Figures:
    """Seconds to score the results of many images, and whether both come to the same."""
    rng = np.random.default_rng(0)

    def boxes(number: int) -> Any:
        corners, sizes = rng.uniform(0, 400, (number, 2)), rng.uniform(4, 200, (number, 2))
        return np.hstack([corners, sizes]).round(2)

    truth: dict[str, Any] = {
        "images": [{"id": number, "width": 640, "height": 640} for number in range(1, images + 1)],
        "categories": [{"id": number, "name": str(number)} for number in range(1, 81)],
        "annotations": [],
    }
    results = []
    for number in range(1, images + 1):
        there = boxes(7)
        kinds = rng.integers(1, 81, 7)
        for box, kind in zip(there.tolist(), kinds.tolist(), strict=True):
            about = {"image_id": number, "category_id": kind, "bbox": box}
            identity = {"id": len(truth["annotations"]) + 1, "iscrowd": 0}
            truth["annotations"].append({**about, **identity, "area": box[2] * box[3]})
        found = np.vstack([there + rng.normal(0, 6, there.shape), boxes(each - 7)]).round(2)
        found[:, 2:] = np.maximum(found[:, 2:], 1.0)
        of = np.concatenate([kinds, rng.integers(1, 81, each - 7)]).tolist()
        scores = rng.uniform(0, 1, each).round(5).tolist()
        results += [
            {"image_id": number, "category_id": kind, "bbox": box, "score": score}
            for box, kind, score in zip(found.tolist(), of, scores, strict=True)
        ]
    began = time.perf_counter()
    scored = AveragePrecision(truth).of(results)
    ours_s = time.perf_counter() - began
    began = time.perf_counter()
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    theirs_s = time.perf_counter() - began
    same = scored["AP"] == float(evaluation.stats[0])
    print(f"\nscoring {len(results):,} results on {images:,} images: {ours_s:.2f} s")
    print(f"  pycocotools {theirs_s:.2f} s, {theirs_s / ours_s:.0f} times; same AP: {same}")
    return {"seconds": ours_s, "pycocotools": theirs_s, "same": same}


def main() -> None:
    """Measure, and print each figure beside its target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="of the training that waits")
    parser.add_argument("--scored", type=int, default=5_000, help="images whose results are scored")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-train-") as name:
        folder = Path(name)
        sources, known = _sources(folder)
        made = build(folder / "set", sources, known, spread_ids(options.images))
        converted(made.archives, folder / "data")
        split = folder / "data" / "train"
        figures = {
            "speed": speed(made, split, options.rounds, options.workers),
            "waiting": waiting(split, folder / "kept", options.workers, options.epochs),
            "scoring": scoring(options.scored, 100),
        }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
