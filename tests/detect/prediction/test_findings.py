"""What torchvision's own evaluation finds with the same weights is what is found."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch import nn
from torchvision.transforms import v2

from cocopipe.detect.network.detector import Detector
from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.predict import predict
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import document_of, read_table
from tests.detect.small import CPU, new_detector, tiny
from tests.detect.splits import encode, rectangles, write_split

Results = list[dict[str, Any]]


def by_torchvision(module: nn.Module, split: Path, document: str) -> dict[int, dict[str, Any]]:
    """The answers of a module to the images one by one, by image id, as torchvision reads them."""
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    store = ImageStore(split)
    module.eval()
    answers = {}
    for row in read_table(split, document, ["image_id", "sha256"]).to_pylist():
        image = Image.open(io.BytesIO(store.read(row["sha256"]))).convert("RGB")
        with torch.inference_mode():
            (answers[row["image_id"]],) = module([transform(image)])
    return answers


def by_us(detector: Detector, split: Path) -> dict[int, Results]:
    found: dict[int, Results] = {}
    for result in predict(
        detector, split, batch_size=8, score_threshold=None, device=CPU, workers=0
    ):
        found.setdefault(result["image_id"], []).append(result)
    return found


def assert_same(ours: Results, theirs: dict[str, Any], ids: dict[int, int]) -> None:
    assert [each["category_id"] for each in ours] == [
        ids[each] for each in theirs["labels"].tolist()
    ]
    scores = [each["score"] for each in ours]
    assert scores == pytest.approx(theirs["scores"].tolist(), abs=6e-6)
    xyxy = theirs["boxes"].double()
    xywh = torch.cat([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], 1).numpy()
    assert np.allclose([each["bbox"] for each in ours], xywh, atol=0.00501)


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of many sizes, some of them larger than a model's input twice, as PNG."""
    document, _ = rectangles(4, seed=3, odd=False)
    rng = np.random.default_rng(0)
    files = {}
    for record in document["images"]:
        height, width = rng.integers(60, 420, 2).tolist()
        pixels = rng.integers(0, 255, (height // 20 + 1, width // 20 + 1, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
        record["file_name"] = record["file_name"].replace("jpg", "png")
        record |= {"width": width, "height": height}
        files[record["file_name"]] = encode(picture, "PNG")
    return write_split(tmp_path_factory.mktemp("sizes"), document, files)


@pytest.mark.parametrize(
    "architecture", ["fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large"]
)
def test_boxes_of_torchvisions_architectures(sizes: Path, architecture: str) -> None:
    detector = new_detector(architecture)
    ids = {each.label: each.id for each in detector.config.categories}
    theirs = by_torchvision(detector.module, sizes, "instances")
    ours = by_us(detector, sizes)
    assert sum(len(each["boxes"]) for each in theirs.values()) > 20
    for image_id, answer in theirs.items():
        assert_same(ours.get(image_id, []), answer, ids)


def test_masks(sizes: Path) -> None:
    detector = tiny(Part.MASK)
    theirs = by_torchvision(detector.module, sizes, "instances")
    ours = by_us(detector, sizes)
    ids = {each.label: each.id for each in detector.config.categories}
    drawn = 0
    for image_id, answer in theirs.items():
        assert_same(ours[image_id], answer, ids)
        masks = (answer["masks"] > 0.5)[:, 0].numpy()
        found = [coco_mask.decode(each["segmentation"]) for each in ours[image_id]]
        assert np.array_equal(np.array(found, bool), masks)
        drawn += masks.any((1, 2)).sum()
    assert drawn > 5
    assert "postprocess" not in vars(detector.module.transform)


def test_keypoints(posed_split: Path) -> None:
    detector = tiny(Part.KEYPOINTS)
    assert document_of(posed_split, keypoints=True) == "person_keypoints"
    theirs = by_torchvision(detector.module, posed_split, "person_keypoints")
    ours = by_us(detector, posed_split)
    ids = {each.label: each.id for each in detector.config.categories}
    for image_id, answer in theirs.items():
        assert_same(ours[image_id], answer, ids)
        found = np.array([each["keypoints"] for each in ours[image_id]]).reshape(-1, 3, 3)
        assert np.allclose(found, answer["keypoints"].numpy(), atol=0.00501)
        assert (found[..., 2] == 1).all()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JPEG of four times the pixels a side that the small detectors need."""
    document, _ = rectangles(1, seed=3, odd=False)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).resize((384, 256), Image.Resampling.NEAREST)
    document["images"][0] |= {"width": 384, "height": 256}
    return write_split(
        tmp_path_factory.mktemp("large"), document, {"0.jpg": encode(picture, "JPEG")}
    )


@pytest.mark.parametrize("part", [Part.MASK, Part.KEYPOINTS])
def test_what_is_found_on_reduced_images_is_of_the_stored_ones(large: Path, part: Part) -> None:
    detector = tiny(part)
    sizes = []
    detector.module.register_forward_pre_hook(
        lambda _, inputs: sizes.append([tuple(image.shape[1:]) for image in inputs[0]])
    )
    results = predict(detector, large, batch_size=2, score_threshold=0.0, device=CPU, workers=0)
    assert sizes == [[(64, 96)]]
    assert max(result["bbox"][0] + result["bbox"][2] for result in results) > 96
    for result in results:
        x, y, w, h = result["bbox"]
        if part is Part.MASK:
            assert result["segmentation"]["size"] == [256, 384]
            left, top, width, height = coco_mask.toBbox(result["segmentation"])
        else:
            points = np.array(result["keypoints"]).reshape(-1, 3)[:, :2]
            left, top = points.min(0)
            width, height = points.max(0) - points.min(0)
        # The pixels of a mask reach a little over its box.
        assert x - 8 <= left <= left + width <= x + w + 8
        assert y - 8 <= top <= top + height <= y + h + 8
