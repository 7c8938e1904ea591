"""A small detector that finds something: fitted to a few rectangles, in seconds."""

import io
from typing import Any

import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from cocopipe.detect.network.detector import Detector
from tests.detect.small import LABELS, new_detector
from tests.detect.splits import HEIGHT


def fitted(
    document: dict[str, Any], files: dict[str, bytes], *, steps: int, seed: int = 0
) -> Detector:
    """Fit one of `small` to rectangles of `splits`, which it then finds."""
    torch.manual_seed(seed)
    detector = new_detector(image_size=HEIGHT, seed=seed)
    module = detector.module.train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.002)
    images, targets = [], []
    for record in document["images"]:
        with Image.open(io.BytesIO(files[record["file_name"]])) as image:
            images.append(pil_to_tensor(image.convert("RGB")) / 255)
        own = [each for each in document["annotations"] if each["image_id"] == record["id"]]
        boxes = torch.tensor([each["bbox"] for each in own]).reshape(-1, 4).float()
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([LABELS[each["category_id"]] for each in own], dtype=torch.int64)
        targets.append({"boxes": boxes, "labels": labels})
    for _ in range(steps):
        optimizer.zero_grad()
        sum(module(images, targets).values()).backward()
        optimizer.step()
    return Detector(module.eval(), detector.config)
