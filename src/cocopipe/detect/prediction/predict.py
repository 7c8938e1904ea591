"""What a detector finds on the images of a split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, ModelConfig, limited
from cocopipe.detect.reading.images import Images
from cocopipe.detect.reading.loading import Loader, batches, ending_workers, loader

MOST_PER_IMAGE = 100
"""Predictions an image that COCO's metrics look at."""

BATCH_SIZE = 1
"""Images at a time, where predictions are scored. Beside others, an image is padded to the largest
of them and computed in another order, which moves the last digits of what is found: one by one,
what is found on it is its own, and the same that the model answers when it is served."""


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
        score_threshold: As of `predict_from`.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.

    Returns:
        As of `predict_from`.

    Raises:
        UserError: an image can't be decoded.
    """
    source = images_of(
        split, detector.config, batch_size=batch_size, device=device, workers=workers
    )
    with ending_workers(source):
        return predict_from(source, detector, score_threshold=score_threshold, device=device)


def images_of(
    split: Path, config: ModelConfig, *, batch_size: int, device: torch.device, workers: int
) -> Loader:
    """Open the images of a split for `predict_from`, as often as it is asked."""
    images = Images(split, shortest_side=config.min_size)
    # As they lie in the store, where neighbours are read together.
    order = images.stored_order.tolist()
    return loader(images, order, batch_size=batch_size, workers=workers, device=device)


def predict_from(
    source: Loader,
    detector: Detector,
    *,
    score_threshold: float,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Return what a detector finds on images, as COCO results.

    Args:
        source: From `images_of`.
        detector: Its module is moved to ``device`` and into prediction mode.
        score_threshold: Leaves out what scores lower; replaces the module's own threshold.
        device: From `choose`.

    Returns:
        Dicts of ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels,
        2 decimals) and ``score`` (5 decimals); by image id, then best first, 100 an image
        at most.

    Raises:
        UserError: an image can't be decoded.
    """
    module = detector.module.to(device).eval()
    categories = {category.label: category.id for category in detector.config.categories}
    results: list[dict[str, Any]] = []
    total = len(source.dataset)  # type: ignore[arg-type]
    # None leaves a bar that stands alone, and none below that of a training.
    progress = tqdm(total=total, desc="predict", unit="image", disable=None, leave=None)
    limits = limited(module, score_threshold=score_threshold, most=MOST_PER_IMAGE)
    with torch.inference_mode(), limits, progress:
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
