"""What a detector finds on the images of a split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, limited
from cocopipe.detect.reading.images import Images
from cocopipe.detect.reading.loading import batches, ending_workers, loader

MOST_PER_IMAGE = 100
"""Predictions an image that COCO's metrics look at."""


def predict(
    detector: Detector,
    split: Path,
    *,
    batch_size: int,
    score_threshold: float,
    device: torch.device,
    workers: int,
) -> list[dict[str, Any]]:
    """Return what a detector finds on the images of a split, as COCO results.

    Args:
        detector: Its module is moved to ``device`` and into prediction mode.
        split: A folder that the convert stage wrote.
        batch_size: Images at a time.
        score_threshold: Leaves out what scores lower; replaces the module's own threshold.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.

    Returns:
        Dicts of ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels,
        2 decimals) and ``score`` (5 decimals); by image id, then best first, 100 an image
        at most.

    Raises:
        UserError: an image can't be decoded.
    """
    module = detector.module.to(device).eval()
    categories = {category.label: category.id for category in detector.config.categories}
    images = Images(split, shortest_side=detector.config.min_size)
    # As they lie in the store, where neighbours are read together.
    order = images.stored_order.tolist()
    source = loader(images, order, batch_size=batch_size, workers=workers, device=device)
    results: list[dict[str, Any]] = []
    progress = tqdm(total=len(images), desc="predict", unit="image", disable=None)
    with (
        ending_workers(source),
        torch.inference_mode(),
        limited(module, score_threshold=score_threshold, most=MOST_PER_IMAGE),
        progress,
    ):
        for pictures, targets in batches(source, device):
            for target, found in zip(targets, module(pictures), strict=True):
                found["boxes"] = found["boxes"] / target["scale"].repeat(2)
                results += _results(int(target["image_id"]), found, categories)
            progress.update(len(pictures))
    return sorted(results, key=lambda result: int(result["image_id"]))


def _results(
    image_id: int, found: Mapping[str, Tensor], categories: Mapping[int, int]
) -> Iterator[dict[str, Any]]:
    """Yield one image's results; labels that no category of the dataset has are left out."""
    rows = (found[name].tolist() for name in ("boxes", "labels", "scores"))
    for (x1, y1, x2, y2), label, confidence in zip(*rows, strict=True):
        if label in categories:
            yield {
                "image_id": image_id,
                "category_id": categories[label],
                "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(confidence, 5),
            }
