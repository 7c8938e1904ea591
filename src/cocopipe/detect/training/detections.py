"""A split as a detector learns from it: targets as torchvision's detectors want them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from cocopipe.detect.reading.decoding import Decoded
from cocopipe.detect.reading.images import Images, Sample, Target
from cocopipe.detect.reading.order import Key
from cocopipe.detect.reading.points import POINT_FIELDS, points_of
from cocopipe.detect.reading.segments import SEGMENT_FIELDS, Segments
from cocopipe.detect.seeds import derive, seeded
from cocopipe.detect.training.augment import Augmentation
from cocopipe.errors import UserError, some
from cocopipe.split.boxes import are_usable
from cocopipe.split.objects import read_objects
from cocopipe.split.tables import document_of

_BOX_FIELDS = ("bbox", "category_id", "area", "iscrowd")

SMALLEST = 1.0
"""Pixels of a side that can be learnt from, as for `augmentation`; torchvision stops at boxes
that its resizing rounds to nothing."""


class Detections(Dataset[Sample]):
    """The images of a split, each with one target: what a detector learns from.

    A target is a dict of ``boxes`` float32 [N, 4] (xyxy, pixels), ``labels`` int64 [N],
    ``image_id`` int64 [], ``area`` float32 [N] and ``iscrowd`` int64 [N] as annotated, and
    ``masks`` uint8 [N, H, W] and ``keypoints`` float32 [N, K, 3] (x, y in pixels, visibility 0, 1
    or 2) where wanted. Crowds, and boxes that aren't finite or are
    narrower than a pixel inside the image, are left out; an image without objects stays, N = 0.

    A key is (epoch, index): what augmentation draws depends on these and the seed alone,
    so neither the number of workers nor the order of reading matters.
    """

    def __init__(
        self,
        split: Path,
        *,
        labels: Mapping[int, int],
        masks: bool,
        augment: Augmentation | None,
        seed: int,
        keypoints: int | None = None,
        shortest_side: int | None = None,
    ) -> None:
        """Index the annotations; no image is read yet.

        Args:
            split: A folder that the convert stage wrote.
            labels: Label by category id.
            masks: Whether targets carry masks.
            augment: From `augmentation`.
            seed: For augmentation.
            keypoints: How many an object has; None where targets carry none.
            shortest_side: What a model needs, pixels; see `decode`. None: all pixels.

        Raises:
            UserError: a split without images, a category without a label, or masks or keypoints
                that are wanted but not annotated.
        """
        document = document_of(split, keypoints=keypoints is not None)
        self.images = Images(split, shortest_side=shortest_side, document=document)
        if not len(self.images):
            raise UserError(f"{split} holds no images: check the source and convert again")
        self.augment = augment
        self.seed = seed
        needed = [*_BOX_FIELDS, *(SEGMENT_FIELDS if masks else ())]
        needed += POINT_FIELDS if keypoints is not None else ()
        objects = read_objects(split, document, needed)
        usable = ~objects.is_crowd & are_usable(objects.boxes_xywh, smallest=SMALLEST)

        rows = objects.rows.filter(pa.array(usable))
        usable_xywh = objects.boxes_xywh[usable]
        self._boxes_xyxy = np.hstack([usable_xywh[:, :2], usable_xywh[:, :2] + usable_xywh[:, 2:]])
        self._labels = _labels(rows, labels, split)
        area = objects.areas[usable]
        area = np.where(np.isnan(area), usable_xywh[:, 2:].prod(axis=1), area)
        self._area = area.astype(np.float32)
        before = np.concatenate([[0], np.cumsum(usable)])
        self._starts = before[np.concatenate([[0], np.cumsum(objects.counts)])]
        self._segments = Segments(rows, split) if masks else None
        self._points = None if keypoints is None else points_of(rows, keypoints, split)
        if self._points is not None and len(rows) and not self._points[..., 2].any():
            raise UserError(
                f"{split} has no keypoint in any of its {len(rows)} annotations of {document},"
                " and a keypoint detector needs some: use a box detector such as"
                " fasterrcnn_resnet50_fpn"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def objects(self) -> int:
        """How many objects there are to learn from."""
        return len(self._labels)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        images = self.images
        return self.sample(epoch, index, images.decoded(index, images.file(index)))

    def sample(self, epoch: int, index: int, decoded: Decoded) -> Sample:
        """Make a sample of the image at ``index``."""
        image, target = decoded.pixels, self._target(index, decoded)
        if self.augment is None:
            return image, target
        with seeded(derive(self.seed, "augment", epoch, index)):
            return self.augment(image, target)

    def _target(self, index: int, decoded: Decoded) -> Target:
        these = slice(int(self._starts[index]), int(self._starts[index + 1]))
        boxes = self._boxes(these, decoded)
        inside = (boxes[:, 2:] - boxes[:, :2] >= SMALLEST).all(axis=1)
        labels = torch.from_numpy(self._labels[these][inside])
        target = {
            "boxes": torch.from_numpy(boxes[inside]),
            "labels": labels,
            "image_id": torch.tensor(int(self.images.image_ids[index])),
            "area": torch.from_numpy(self._area[these][inside]),
            "iscrowd": torch.zeros_like(labels),
        }
        if self._segments is not None:
            target["masks"] = self._masks(these, decoded)[torch.from_numpy(inside)]
        if self._points is not None:
            points = self._points[these][inside]
            points[..., :2] *= decoded.scale
            target["keypoints"] = torch.from_numpy(points)
        return target

    def _boxes(self, these: slice, decoded: Decoded) -> npt.NDArray[np.float32]:
        """Return boxes xyxy inside of the image as decoded, [N, 4]."""
        _, height, width = decoded.pixels.shape
        boxes = self._boxes_xyxy[these]
        if decoded.is_reduced:
            boxes = boxes * np.tile(decoded.scale, 2)
        limits = np.array([width, height, width, height], np.float64)
        inside: npt.NDArray[np.float32] = np.minimum(np.maximum(boxes, 0), limits).astype(
            np.float32
        )
        return inside

    def _masks(self, these: slice, decoded: Decoded) -> Tensor:
        """Draw masks at the whole image's size; uint8 [N, H, W] at the decoded one."""
        assert self._segments is not None  # noqa: S101 - the caller has looked
        height, width = decoded.height, decoded.width
        masks = self._segments.pixels(these, height=height, width=width)
        if decoded.is_reduced:
            _, rows, columns = decoded.pixels.shape
            # The nearest pixels; torch's own way refuses images without objects.
            masks = masks[:, torch.arange(rows) * height // rows]
            masks = masks[:, :, torch.arange(columns) * width // columns]
        return masks


def _labels(rows: pa.StructArray, labels: Mapping[int, int], split: Path) -> npt.NDArray[np.int64]:
    category_ids = rows.field("category_id").to_pylist()
    unknown = sorted({str(key) for key in category_ids if key not in labels})
    if unknown:
        raise UserError(
            f"{split} has annotations of category {some(unknown)}, which the model doesn't "
            "know: use the same categories in every split, and train again"
        )
    return np.array([labels[key] for key in category_ids], dtype=np.int64)
