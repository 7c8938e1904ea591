"""A split as torch reads it: images decoded, targets as torchvision's detectors want them."""

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.io import ImageReadMode, decode_image

from cocopipe.coco.masks import has_mask, mask
from cocopipe.coco.pixels import rgb
from cocopipe.coco.store import ImageStore
from cocopipe.coco.tables import read_table
from cocopipe.detect.augment import PER_OBJECT, Augment, Target
from cocopipe.detect.seeds import derive, seeded
from cocopipe.errors import UserError, some

DOCUMENT = "instances"

SMALLEST = 1.0
"""Pixels of a side that can be learnt from, as for `augmentation`; torchvision stops at boxes
that its resizing rounds to nothing."""

Sample = tuple[Tensor, Target]
"""A uint8 image [3, H, W] in RGB, and its target."""


class Images(Dataset[Sample]):
    """The images of a split in image-id order; a target holds ``image_id`` only."""

    def __init__(self, split: Path) -> None:
        self.split = split
        self.image_ids: npt.NDArray[np.int64] = read_table(split, DOCUMENT)["image_id"].to_numpy()
        self._store = ImageStore(split)

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> Sample:
        return self.image(index), {"image_id": torch.tensor(int(self.image_ids[index]))}

    def image(self, index: int) -> Tensor:
        """Return the image at ``index``, uint8 [3, H, W].

        Raises:
            UserError: it can't be decoded.
        """
        image_id = int(self.image_ids[index])
        try:
            return decode(self._store.read(image_id))
        except ValueError as error:
            raise UserError(
                f"image {image_id} of {self.split} can't be decoded ({error}): replace it in "
                "the source and convert again"
            ) from error


class Detections(Dataset[Sample]):
    """The images of a split, each with one target: what a detector learns from.

    A target is a dict of ``boxes`` float32 [N, 4] (xyxy, pixels), ``labels`` int64 [N],
    ``image_id`` int64 [], ``area`` float32 [N] and ``iscrowd`` int64 [N] as annotated, and
    ``masks`` uint8 [N, H, W] where wanted. Crowds, and boxes that aren't finite or are
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
        augment: Augment | None,
        seed: int,
    ) -> None:
        """Index the annotations; no image is read yet.

        Args:
            split: A folder that the convert stage wrote.
            labels: Label by category id.
            masks: Whether targets carry masks.
            augment: From `augmentation`.
            seed: For augmentation.

        Raises:
            UserError: a split without images, a category without a label, or masks that
                are wanted but not annotated.
        """
        self.images = Images(split)
        if not len(self.images):
            raise UserError(f"{split} holds no images: check the source and convert again")
        self.augment = augment
        self.seed = seed
        objects = read_table(split, DOCUMENT)["objects"].combine_chunks()
        counts = pc.fill_null(pc.list_value_length(objects), 0).to_numpy()
        rows = objects.flatten()
        crowd = pc.fill_null(rows.field("iscrowd"), False).to_numpy(zero_copy_only=False)
        boxes_xywh = _boxes_xywh(rows)
        large = (boxes_xywh[:, 2:] >= SMALLEST).all(axis=1)
        usable = ~crowd & np.isfinite(boxes_xywh).all(axis=1) & large

        rows = rows.filter(pa.array(usable))
        self._boxes_xywh = boxes_xywh[usable]
        self._labels = _labels(rows, labels, split)
        area = rows.field("area").to_numpy(zero_copy_only=False)
        self._area = np.where(np.isnan(area), self._boxes_xywh[:, 2:].prod(axis=1), area)
        before = np.concatenate([[0], np.cumsum(usable)])
        self._starts = before[np.concatenate([[0], np.cumsum(counts)])]
        self._segments = _segments(rows, split) if masks else None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def objects(self) -> int:
        """How many objects there are to learn from."""
        return len(self._labels)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        image = self.images.image(index)
        target = self._target(index, height=image.shape[1], width=image.shape[2])
        if self.augment is None:
            return image, target
        with seeded(derive(self.seed, "augment", epoch, index)):
            return self.augment(image, target)

    def _target(self, index: int, *, height: int, width: int) -> Target:
        these = slice(int(self._starts[index]), int(self._starts[index + 1]))
        x, y, w, h = self._boxes_xywh[these].T
        boxes = np.stack([x, y, x + w, y + h], axis=1).clip(0, [width, height, width, height])
        labels = torch.from_numpy(self._labels[these].copy())
        target = {
            "boxes": torch.from_numpy(boxes.astype(np.float32)),
            "labels": labels,
            "image_id": torch.tensor(int(self.images.image_ids[index])),
            "area": torch.from_numpy(self._area[these].astype(np.float32)),
            "iscrowd": torch.zeros_like(labels),
        }
        if self._segments is not None:
            target["masks"] = torch.zeros((len(labels), height, width), dtype=torch.uint8)
            for place, segment in enumerate(self._segments[these].to_pylist()):
                pixels = mask(_segmentation(segment), height=height, width=width)
                if pixels is None:
                    raise UserError(
                        f"annotation {segment['id']} of {self.images.split} has a mask that can't "
                        f"be drawn on its image of {width}x{height} pixels: correct its "
                        "segmentation at the source"
                    )
                target["masks"][place] = torch.from_numpy(pixels)
        sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
        inside = (sides >= SMALLEST).all(dim=1)
        return {name: part[inside] if name in PER_OBJECT else part for name, part in target.items()}


class Shuffled(Sampler[tuple[int, int]]):
    """Every (epoch, index) of one epoch, in an order of its own; set ``epoch`` before."""

    def __init__(self, size: int, seed: int) -> None:
        self.size = size
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = torch.Generator().manual_seed(derive(self.seed, "order", self.epoch))
        for index in torch.randperm(self.size, generator=order).tolist():
            yield self.epoch, index


def in_order(size: int) -> list[tuple[int, int]]:
    """Return the keys of a dataset that is read from first to last."""
    return [(0, index) for index in range(size)]


def loader(
    dataset: Dataset[Sample],
    keys: Iterable[Any],
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
) -> DataLoader[Sample]:
    """Read ``dataset`` by ``keys`` in batches, in ``workers`` processes (0: in this one)."""
    return DataLoader(
        dataset,
        sampler=keys,
        batch_size=batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        collate_fn=_collate,
        # Else it draws from the global generator, as often as there are workers to seed.
        generator=torch.Generator(),
    )


def batches(
    source: DataLoader[Sample], device: torch.device
) -> Iterator[tuple[list[Tensor], list[Target]]]:
    """Yield what a detector takes: float images in 0..1 and targets, both on ``device``.

    Raises:
        UserError: an image can't be decoded.
    """
    try:
        for images, targets in source:
            yield (
                [image.to(device, non_blocking=True).float() / 255 for image in images],
                [
                    {name: part.to(device, non_blocking=True) for name, part in target.items()}
                    for target in targets
                ],
            )
    except UserError as error:
        # A worker's error arrives with the worker's traceback in its message.
        sentence = str(error).rpartition(f"{UserError.__name__}: ")[2].strip()
        raise UserError(sentence) from error


def decode(data: bytes) -> Tensor:
    """Decode an image file to uint8 [3, H, W] in RGB, its pixels as stored (no EXIF turn).

    Raises:
        ValueError: not an image, or a damaged one.
    """
    if not data:
        raise ValueError("it is empty")
    try:
        # A copy, because torch wants a buffer it may write to.
        pixels: Tensor = decode_image(
            torch.frombuffer(bytearray(data), dtype=torch.uint8), mode=ImageReadMode.RGB
        )
    except RuntimeError:
        return _decode_slowly(data)
    if pixels.dim() != 3:  # animated
        return _decode_slowly(data)
    if pixels.dtype == torch.uint16:
        return (pixels.int() >> 8).to(torch.uint8)
    return pixels


def _decode_slowly(data: bytes) -> Tensor:
    """Decode what torchvision doesn't: BMP, TIFF, the first of many frames."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.array(rgb(image))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _collate(samples: list[Sample]) -> tuple[list[Tensor], list[Target]]:
    images, targets = zip(*samples, strict=True)
    return list(images), list(targets)


def _boxes_xywh(rows: pa.StructArray) -> npt.NDArray[np.float64]:
    """Boxes [M, 4]; NaN where there is none."""
    sides = [pc.list_element(rows.field("bbox"), place) for place in range(4)]
    return np.stack([side.to_numpy(zero_copy_only=False) for side in sides], axis=1)


def _labels(rows: pa.StructArray, labels: Mapping[int, int], split: Path) -> npt.NDArray[np.int64]:
    category_ids = rows.field("category_id").to_pylist()
    unknown = sorted({str(key) for key in category_ids if key not in labels})
    if unknown:
        raise UserError(
            f"{split} has annotations of category {some(unknown)}, which the model doesn't "
            "know: use the same categories in every split, and train again"
        )
    return np.array([labels[key] for key in category_ids], dtype=np.int64)


def _segmentation(row: Mapping[str, Any]) -> Any:
    """Return the segmentation as COCO has it."""
    if row["polygons"] is not None:
        return row["polygons"]
    size, counts, runs = (row["rle"][name] for name in ("size", "counts", "runs"))
    return {"size": size, "counts": counts if runs is None else runs}


def _segments(rows: pa.StructArray, split: Path) -> pa.StructArray:
    segments = pa.StructArray.from_arrays(
        [rows.field(name) for name in ("id", "polygons", "rle")], ["id", "polygons", "rle"]
    )
    without = list(map(str, segments.field("id").filter(pa.array(~has_mask(segments))).to_pylist()))
    if without:
        raise UserError(
            f"{split} has {len(without)} annotations without a mask (ids {some(without)}), which "
            "a mask detector needs: use a box detector such as fasterrcnn_resnet50_fpn"
        )
    return segments
