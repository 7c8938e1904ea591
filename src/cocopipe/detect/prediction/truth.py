"""What there was to find, as every scorer gets it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask
from pycocotools.cocoeval import Params

from cocopipe.detect.network.parts import Part
from cocopipe.split.boxes import is_box

_FIELDS = {Part.BOX: (), Part.MASK: ("segmentation",), Part.KEYPOINTS: ("keypoints",)}
"""What an annotation must have, beside its box, to be found."""

COCO_SIGMAS: npt.NDArray[np.float64] = Params(iouType="keypoints").kpt_oks_sigmas
"""How far people are off at each of COCO's 17 points, by the size of the object."""


def truth(document: Mapping[str, Any], part: Part = Part.BOX) -> dict[str, Any]:
    """Return a COCO document of what can be found, or is a crowd.

    Args:
        document: A COCO document; areas and crowd flags that are missing are taken as the mask's,
            else as width times height, and 0; annotations without a finite box are left out.
        part: Annotations without that are left out, too.

    Returns:
        Its images and categories, and annotations numbered from 1, since pycocotools takes an
        id of 0 for "unmatched".
    """
    found = [
        annotation
        for annotation in document.get("annotations", [])
        if is_box(annotation.get("bbox")) and all(annotation.get(key) for key in _FIELDS[part])
    ]
    annotations = [
        {
            "id": number,
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": annotation["bbox"],
            "area": _area(annotation, part),
            "iscrowd": int(bool(annotation.get("iscrowd"))),
            **{key: annotation[key] for key in _FIELDS[part]},
        }
        for number, annotation in enumerate(found, start=1)
    ]
    if part is Part.KEYPOINTS:
        for annotation in annotations:
            annotation["num_keypoints"] = sum(seen > 0 for seen in annotation["keypoints"][2::3])
    return {
        "images": document["images"],
        "categories": document["categories"],
        "annotations": annotations,
    }


def sigmas(points: int) -> npt.NDArray[np.float64]:
    """Return how far off each of so many keypoints may be, for COCO's keypoint similarity.

    COCO's own where there are 17, else their mean for each, for nobody knows better.
    """
    if points == len(COCO_SIGMAS):
        return COCO_SIGMAS
    return np.full(points, COCO_SIGMAS.mean().round(4))


def _area(annotation: Mapping[str, Any], part: Part) -> float:
    area = annotation.get("area")
    if isinstance(area, int | float):
        return area
    segmentation = annotation.get("segmentation")
    if part is Part.MASK and isinstance(segmentation, dict):  # compressed, as `expected` has it
        return float(coco_mask.area(segmentation))
    _, _, width, height = annotation["bbox"]
    return float(width * height)
