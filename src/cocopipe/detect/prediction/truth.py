"""What there was to find, as every scorer gets it."""

from collections.abc import Mapping
from typing import Any

from cocopipe.split.boxes import is_box


def truth(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a COCO document of the boxes that can be found, or are crowds.

    Args:
        document: A COCO document; areas and crowd flags that are missing are taken as width
            times height and 0, annotations without a finite box are left out.

    Returns:
        Its images and categories, and annotations numbered from 1, since pycocotools takes an
        id of 0 for "unmatched".
    """
    boxed = [
        annotation
        for annotation in document.get("annotations", [])
        if is_box(annotation.get("bbox"))
    ]
    annotations = [
        {
            "id": number,
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": annotation["bbox"],
            "area": _area(annotation),
            "iscrowd": int(bool(annotation.get("iscrowd"))),
        }
        for number, annotation in enumerate(boxed, start=1)
    ]
    return {
        "images": document["images"],
        "categories": document["categories"],
        "annotations": annotations,
    }


def _area(annotation: Mapping[str, Any]) -> float:
    area = annotation.get("area")
    if isinstance(area, int | float):
        return area
    _, _, width, height = annotation["bbox"]
    return float(width * height)
