"""What a detector finds on the images of a split."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from cocopipe.detect.network.detector import Detector, ModelConfig, limited
from cocopipe.detect.prediction.findings import findings, masks_in_their_boxes
from cocopipe.detect.reading.images import Images
from cocopipe.detect.reading.loading import Loader, batches, ending_workers, loader
from cocopipe.split.tables import document_of

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
    score_threshold: float | None,
    device: torch.device,
    workers: int,
) -> list[dict[str, Any]]:
    """Return what a detector finds on the images of a split, as COCO results.

    Args:
        detector: Its module is moved to ``device`` and into prediction mode.
        split: A folder that the convert stage wrote.
        batch_size: Images at a time.
        score_threshold: As of `predict_from`. With None, what is found is what torchvision's own
            evaluation finds: images come one at a time, none padded to the size of another, and
            with all their pixels.
        device: From `choose`.
        workers: Processes that read and decode; 0: none but this one.

    Returns:
        As of `predict_from`.

    Raises:
        UserError: an image can't be decoded.
    """
    source = images_of(
        split,
        detector.config,
        batch_size=None if score_threshold is None else batch_size,
        device=device,
        workers=workers,
    )
    with ending_workers(source):
        return predict_from(source, detector, score_threshold=score_threshold, device=device)


def images_of(
    split: Path,
    config: ModelConfig,
    *,
    batch_size: int | None,
    device: torch.device,
    workers: int,
) -> Loader:
    """Open the images of a split for `predict_from`, as often as it is asked.

    A ``batch_size`` of None: one by one, with all their pixels.
    """
    images = Images(
        split,
        shortest_side=None if batch_size is None else config.min_size,
        document=document_of(split, keypoints=config.keypoints is not None),
    )
    # As they lie in the store, where neighbours are read together.
    order = images.stored_order.tolist()
    return loader(images, order, batch_size=batch_size or 1, workers=workers, device=device)


def predict_from(
    source: Loader,
    detector: Detector,
    *,
    score_threshold: float | None,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Return what a detector finds on images, as COCO results.

    Args:
        source: From `images_of`.
        detector: Its module is moved to ``device`` and into prediction mode.
        score_threshold: Leaves out what scores lower, and has 100 results an image at most, in
            place of the module's own threshold and number; None leaves these as they are.
        device: From `choose`.

    Returns:
        Dicts of ``image_id``, ``category_id``, ``bbox`` (x, y, width, height in pixels,
        2 decimals) and ``score`` (5 decimals), and where the detector tells them
        ``segmentation`` (compressed RLE, its counts as text) and ``keypoints`` (x, y in
        pixels, 2 decimals, and 1 each); by image id, then best first.

    Raises:
        UserError: an image can't be decoded.
    """
    module = detector.module.to(device).eval()
    categories = {category.label: category.id for category in detector.config.categories}
    results: list[dict[str, Any]] = []
    total = len(source.dataset)  # type: ignore[arg-type]
    # None leaves a bar that stands alone, and none below that of a training.
    progress = tqdm(total=total, desc="predict", unit="image", disable=None, leave=None)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(progress)
        if score_threshold is not None:
            limits = limited(module, score_threshold=score_threshold, most=MOST_PER_IMAGE)
            stack.enter_context(limits)
        if detector.config.needs_masks:
            stack.enter_context(masks_in_their_boxes(module))
        for pictures, targets in batches(source, device):
            found_in = zip(pictures, targets, module(pictures), strict=True)
            for picture, target, found in found_in:
                scale, sides = target["scale"], picture.shape[1:]
                found["boxes"] = found["boxes"] / scale.repeat(2)
                if "keypoints" in found:
                    found["keypoints"][..., :2] /= scale
                width_scale, height_scale = scale.tolist()
                size = round(sides[0] / height_scale), round(sides[1] / width_scale)
                results += findings(found, int(target["image_id"]), size, categories)
            progress.update(len(pictures))
    return sorted(results, key=lambda result: int(result["image_id"]))
