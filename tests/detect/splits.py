"""Small splits of coloured rectangles, converted as real ones are."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from tests.converting import convert_into

COLORS = {3: (220, 40, 40), 7: (40, 60, 220)}
WIDTH, HEIGHT = 96, 64
CATEGORIES = [{"id": 7, "name": "blue"}, {"id": 3, "name": "red"}]


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rectangles(images: int, *, seed: int, odd: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Draw red (3) and blue (7) rectangles; return the COCO document and the files.

    Image 0 has no objects; with ``odd``, image 1 has a crowd, degenerate boxes, a box
    that leaves the image, and masks of every kind.
    """
    rng = np.random.default_rng(seed)
    records, annotations, files = [], [], {}
    for image_id in range(images):
        picture = Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90))
        pen = ImageDraw.Draw(picture)
        for place in range(0 if image_id == 0 else 2):
            category = int(rng.choice(list(COLORS)))
            w, h = rng.integers(16, 40, 2).tolist()
            x, y = (
                int(rng.integers(place * 48, place * 48 + 48 - w)),
                int(rng.integers(0, HEIGHT - h)),
            )
            pen.rectangle((x, y, x + w - 1, y + h - 1), COLORS[category])
            annotations.append(
                {
                    "image_id": image_id,
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h,
                    "iscrowd": 0,
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )
        name = f"{image_id}.jpg"
        files[name] = encode(picture, "JPEG", quality=95)
        records.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT})
    if odd:
        annotations += odd_annotations()
    for number, annotation in enumerate(annotations):
        annotation["id"] = number
    document = {
        "images": records,
        "annotations": annotations,
        "categories": CATEGORIES,
    }
    return document, files


def odd_annotations() -> list[dict[str, Any]]:
    """Return annotations of image 1 of which only two can be learnt from."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[10:20, 80:96] = 1
    compressed = coco_mask.encode(mask)
    edges = np.flatnonzero(np.diff(mask.ravel(order="F"))) + 1
    runs = np.diff([0, *edges.tolist(), mask.size]).tolist()
    size = [HEIGHT, WIDTH]
    leaving = {"bbox": [80, 10, 40, 10], "segmentation": {"size": size, "counts": runs}}
    packed = {"size": size, "counts": compressed["counts"].decode()}
    inside = {"bbox": [80, 10, 16, 10], "segmentation": packed}
    left_out = [
        {"bbox": [0, 0, 30, 30], "segmentation": packed, "iscrowd": 1, "area": 5},
        {"bbox": [10, 10, 0, 12]},
        {"bbox": [10, 10, 12, -3]},
        {"bbox": [200, 10, 12, 12], "segmentation": [[200, 10, 212, 10, 212, 22]]},
        {"bbox": [float("nan"), 10, 12, 12]},
        {},
    ]
    return [{"image_id": 1, "category_id": 3, **fields} for fields in (leaving, inside, *left_out)]


def posed(document: dict[str, Any]) -> dict[str, Any]:
    """Return the same with keypoints: the upper corners of each rectangle and its middle.

    Of every third object the right corner is not labelled, of every fifth it is hidden.
    """
    names = ["left_corner", "middle", "right_corner"]
    categories = [
        {**each, "keypoints": names, "skeleton": [[1, 2], [2, 3]]}
        for each in document["categories"]
    ]
    annotations = []
    for number, item in enumerate(document["annotations"]):
        x, y, w, h = item["bbox"]
        right = [x + w - 1, y, 1 + (number % 5 > 0)] if number % 3 else [0, 0, 0]
        points = [x, y, 2, x + w // 2, y + h // 2, 2, *right]
        seen = sum(each > 0 for each in points[2::3])
        annotations.append({**item, "keypoints": points, "num_keypoints": seen})
    return {**document, "categories": categories, "annotations": annotations}


def write_split(
    folder: Path,
    document: dict[str, Any],
    files: dict[str, bytes],
    points: dict[str, Any] | None = None,
) -> Path:
    """Convert a document and its images to one split, and return its folder.

    With ``points``, it has a document ``person_keypoints`` too.
    """
    raw = folder / "raw"
    for path in (raw / "annotations", raw / "images" / "train", raw / "images" / "val"):
        path.mkdir(parents=True)
    for name, data in files.items():
        (raw / "images" / "train" / name).write_bytes(data)
    (raw / "annotations" / "instances_train.json").write_text(json.dumps(document))
    if points is not None:
        (raw / "annotations" / "person_keypoints_train.json").write_text(json.dumps(points))
    other = {"images": [{"id": 1, "file_name": "v.jpg"}], "annotations": [], "categories": []}
    (raw / "annotations" / "instances_val.json").write_text(json.dumps(other))
    (raw / "images" / "val" / "v.jpg").write_bytes(encode(Image.new("RGB", (8, 8)), "JPEG"))
    _, train, _ = convert_into(raw, folder, workers=1)
    return train
