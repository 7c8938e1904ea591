"""What a detector found on one image, as COCO results."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torchvision.models.detection.roi_heads import paste_masks_in_image

from cocopipe.split.masks import rle

MASK_THRESHOLD = 0.5
"""A pixel is of an object where its mask is above, as in torchvision's own evaluation."""


def findings(
    found: Mapping[str, Tensor],
    image_id: int,
    size: tuple[int, int],
    categories: Mapping[int, int],
) -> Iterator[dict[str, Any]]:
    """Yield one image's results; labels that no category of the dataset has are left out.

    Args:
        found: Of the image as stored: ``boxes`` [N, 4] xyxy in pixels, ``labels`` [N], ``scores``
            [N], and where the detector tells them ``masks`` [N, 1, M, M], in their boxes, and
            ``keypoints`` [N, K, 3].
        image_id: Of the image.
        size: Its height and width, pixels.
        categories: Id of the category by label.
    """
    boxes, masks, points = (
        None if part is None else part.float().cpu()
        for part in (found["boxes"], found.get("masks"), found.get("keypoints"))
    )
    assert boxes is not None  # noqa: S101 - every detector gives them
    rows = zip(boxes.tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
    for place, ((x1, y1, x2, y2), label, score) in enumerate(rows):
        if label not in categories:
            continue
        result: dict[str, Any] = {
            "image_id": image_id,
            "category_id": categories[label],
            "bbox": [round(side, 2) for side in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 5),
        }
        this = slice(place, place + 1)
        if masks is not None:
            # One at a time: a hundred of them at the size of a photograph fill the memory.
            pasted = paste_masks_in_image(masks[this], boxes[this], size)[0, 0]
            result["segmentation"] = rle((pasted > MASK_THRESHOLD).numpy())
        if points is not None:
            result["keypoints"] = [round(value, 2) for value in points[place].flatten().tolist()]
        yield result


@contextmanager
def masks_in_their_boxes(module: nn.Module) -> Iterator[None]:
    """Let a torchvision detector give masks as its head does, [N, 1, M, M], and paste none."""
    transform: Any = module.transform

    def without_masks(result: list[dict[str, Tensor]], *sizes: Any) -> list[dict[str, Tensor]]:
        masks = [each.pop("masks") for each in result]
        scaled: list[dict[str, Tensor]] = type(transform).postprocess(transform, result, *sizes)
        return [{**each, "masks": own} for each, own in zip(scaled, masks, strict=True)]

    transform.postprocess = without_masks
    try:
        yield
    finally:
        del transform.postprocess
