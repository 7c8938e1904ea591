"""What a detector finds on an image file, by itself."""

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cocopipe.detect.network.detector import LearntCategory, limited, load
from cocopipe.detect.prediction.findings import findings, masks_in_their_boxes
from cocopipe.detect.reading.decoding import Decoded, File, decode, turned
from cocopipe.pictures.examine import UNREADABLE, UnreadableImageError, examine
from cocopipe.pictures.opening import opened

MOST_PIXELS = 2 * 89_478_485
"""Of an image that is looked at, all its frames together: what is larger is refused undecoded,
since a file of some kilobytes may ask for gigabytes of memory. It is what Pillow takes, and so
what `convert` does."""

AS_STORED = 1
"""EXIF's number for an image that is not turned."""


@dataclass(frozen=True)
class Found:
    """What a detector found on an image, the best first."""

    width: int
    """Of the image that boxes and masks are of, pixels."""
    height: int
    boxes: list[list[float]]
    """Left, top, right and bottom of each, pixels of that image."""
    scores: list[float]
    """From 0 to 1."""
    categories: list[LearntCategory]
    masks: list[dict[str, Any]] | None
    """COCO's RLE of each, ``{"size": [height, width], "counts": text}``; None from a network
    that has none."""

    def results(self, image_id: int) -> Iterator[dict[str, Any]]:
        """Yield it as COCO results, rounded as those of an evaluation."""
        rows = zip(self.boxes, self.scores, self.categories, strict=True)
        for number, ((x1, y1, x2, y2), score, category) in enumerate(rows):
            yield {
                "image_id": image_id,
                "category_id": category.id,
                "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
                "score": round(score, 5),
                **({"segmentation": self.masks[number]} if self.masks is not None else {}),
            }


class Finder:
    """A detector that is ready to answer; any number of threads may ask."""

    def __init__(self, model: Path, device: torch.device) -> None:
        """Load it.

        Args:
            model: A folder that the train stage wrote.
            device: From `choose`.

        Raises:
            UserError: no such folder, or its files are damaged or don't belong together.
        """
        self._detector = load(model, device)
        self._device = device
        self._categories = {each.label: each for each in self._detector.config.categories}
        self._one_at_a_time = threading.Lock()

    @property
    def categories(self) -> tuple[LearntCategory, ...]:
        """What it can find."""
        return self._detector.config.categories

    def find(
        self,
        data: bytes,
        *,
        score_threshold: float,
        most: int,
        turn: int | None = AS_STORED,
    ) -> Found:
        """Return what is found on an image, just as an evaluation finds it.

        Args:
            data: The image file.
            score_threshold: Leaves out what scores lower.
            most: How many there are at most.
            turn: EXIF's number of how to turn the image first; None: as its own EXIF says.

        Raises:
            UnreadableImageError: It isn't a whole image, or too large.
        """
        asked_for = checked(data)
        file = torch.from_numpy(np.frombuffer(bytearray(data), np.uint8))
        module, needs_masks = self._detector.module, self._detector.config.needs_masks
        # The limits are the module's, two images at once would share its threads, and memory is
        # for one of the largest.
        with (
            self._one_at_a_time,
            torch.inference_mode(),
            limited(module, score_threshold=score_threshold, most=most),
            masks_in_their_boxes(module) if needs_masks else nullcontext(),
        ):
            image = self._decoded(file, asked_for if turn is None else turn)
            (found,) = module([image.pixels.to(self._device).float() / 255])
            scale = torch.tensor(image.scale, dtype=torch.float32, device=self._device)
            found["boxes"] = found["boxes"] / scale.repeat(2)
        return self._answer(image.height, image.width, found)

    def _decoded(self, file: File, turn: int) -> Decoded:
        try:
            image = decode(file, shortest_side=self._detector.config.min_size)
        except ValueError as error:
            raise UnreadableImageError(str(error)) from error
        return turned(image, turn)

    def _answer(self, height: int, width: int, found: dict[str, Tensor]) -> Found:
        """What the network gave, without labels that stand for no category of the dataset."""
        labels = found["labels"].tolist()
        kept = [number for number, label in enumerate(labels) if label in self._categories]
        boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
        masks = None
        if "masks" in found:
            # As an evaluation has them.
            same = {label: label for label in self._categories}
            told = findings(found, 0, (height, width), same)
            masks = [each["segmentation"] for each in told]
        return Found(
            width=width,
            height=height,
            boxes=[boxes[number] for number in kept],
            scores=[scores[number] for number in kept],
            categories=[self._categories[labels[number]] for number in kept],
            masks=masks,
        )


def checked(data: bytes) -> int:
    """Make sure that an image file is whole and of a size to be looked at.

    Returns:
        How its EXIF asks viewers to turn it, by the standard's number.

    Raises:
        UnreadableImageError: It isn't.
    """
    try:
        with opened(data) as image:
            width, height = image.size
            frames = int(getattr(image, "n_frames", 1))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImageError(f"it has more than {MOST_PIXELS:,} pixels") from error
    except UNREADABLE:
        return examine(data).turn  # which says why
    if width * height * frames > MOST_PIXELS:
        raise UnreadableImageError(f"all its frames have more than {MOST_PIXELS:,} pixels")
    return examine(data).turn
