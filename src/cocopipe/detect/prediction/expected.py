"""What there is to find on a split, all that a detector tells of it."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cocopipe.detect.network.detector import ModelConfig
from cocopipe.detect.prediction.truth import COCO_SIGMAS, sigmas
from cocopipe.detect.reading.points import POINT_FIELDS, points_of
from cocopipe.detect.reading.segments import SEGMENT_FIELDS, Segments
from cocopipe.pictures.turning import SIDEWAYS
from cocopipe.split.boxes import are_usable
from cocopipe.split.images import ImageStore
from cocopipe.split.objects import Objects, ground_truth, object_columns, read_objects
from cocopipe.split.tables import document_of, read_table

_log = logging.getLogger(__name__)


def expected(split: Path, config: ModelConfig) -> dict[str, Any]:
    """Return what there is to find on a split, as a COCO document.

    Masks are compressed RLE of the picture as it is shown, whatever size the document says.
    Objects without keypoints have those of visibility 0.

    Args:
        split: A folder that the convert stage wrote.
        config: Of the detector that is to find it.

    Raises:
        UserError: the split has no document for such a detector, or what it needs is not
            annotated.
    """
    name = document_of(split, keypoints=config.keypoints is not None)
    document = ground_truth(split, name)
    if config.needs_masks:
        _add_masks(document["annotations"], split, name)
    if config.keypoint_count is not None:
        rows = read_objects(split, name, POINT_FIELDS).rows
        points = points_of(rows, config.keypoint_count, split)
        for annotation, numbers in zip(document["annotations"], points, strict=True):
            annotation["keypoints"] = numbers.ravel().tolist()
    return document


def say_sigmas(config: ModelConfig) -> None:
    """Warn where keypoints are scored by a guess."""
    count = config.keypoint_count
    if count is not None and count != len(COCO_SIGMAS):
        _log.warning(
            "keypoints are scored with a sigma of %.4f each, the mean of COCO's: COCO has its own"
            " for %d points, and these are %d",
            *(sigmas(count)[0], len(COCO_SIGMAS), count),
        )


def _add_masks(annotations: list[dict[str, Any]], split: Path, name: str) -> None:
    """Give annotations their masks; boxes that are none, and have no mask, get none."""
    columns = ["sha256", "turn", *object_columns(("bbox", "iscrowd", *SEGMENT_FIELDS))]
    table = read_table(split, name, columns)
    objects = Objects(table["objects"].combine_chunks())
    needed = np.flatnonzero(are_usable(objects.boxes_xywh))
    segments = Segments(objects.rows.take(pa.array(needed)), split)
    sizes = _shown_sizes(split, table)[objects.image[needed]].tolist()
    for place, (row, (width, height)) in enumerate(zip(needed.tolist(), sizes, strict=True)):
        drawn = segments.encoded(place, height=height, width=width)
        annotations[row]["segmentation"] = drawn


def _shown_sizes(split: Path, images: pa.Table) -> npt.NDArray[np.int64]:
    """Return width and height of pictures, turned as they were annotated, int64 [N, 2]."""
    store = ImageStore(split)
    sizes = store.sizes()[store.numbers(images["sha256"])]
    sideways = images["turn"].to_numpy() >= SIDEWAYS
    sizes[sideways] = sizes[sideways][:, ::-1]
    return sizes
