"""What there is to find is of the pictures as they are shown."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from cocopipe.detect.network.detector import ModelConfig
from cocopipe.detect.network.parts import Part
from cocopipe.detect.prediction.expected import expected, say_sigmas
from cocopipe.errors import UserError
from tests.detect.small import POINTS, new_detector, tiny
from tests.detect.splits import HEIGHT, WIDTH, encode, posed, rectangles, write_split

MASKS = tiny(Part.MASK).config
KEYPOINTS = tiny(Part.KEYPOINTS).config


def pixels(annotation: dict[str, Any]) -> Any:
    return coco_mask.decode(annotation["segmentation"])


def test_boxes_alone_are_as_annotated(split: Path) -> None:
    found = expected(split, new_detector(image_size=64).config)
    assert {*found["annotations"][0]} == {
        "image_id",
        "id",
        "category_id",
        "bbox",
        "area",
        "iscrowd",
    }


def test_masks_are_drawn_and_what_is_no_box_needs_none(odd_split: Path) -> None:
    document, _ = rectangles(3, seed=1, odd=True)
    by_id = {item["id"]: item for item in expected(odd_split, MASKS)["annotations"]}
    assert len(by_id) == len(document["annotations"])
    for item in document["annotations"]:
        annotation = by_id[item["id"]]
        if "segmentation" not in item:
            assert "segmentation" not in annotation
            continue
        segmentation = item["segmentation"]
        if isinstance(segmentation, list):
            theirs = coco_mask.merge(coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH))
        elif isinstance(segmentation["counts"], list):
            theirs = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH)
        else:
            theirs = segmentation
        assert np.array_equal(pixels(annotation), coco_mask.decode(theirs))
    assert sum(bool(item.get("iscrowd")) for item in by_id.values()) == 1


def test_masks_are_of_the_picture_whatever_its_document_says(tmp_path: Path) -> None:
    """One is turned by EXIF, and annotated so; of the other the document gives another size."""
    document, files = rectangles(2, seed=1, odd=False)
    exif = Image.Exif()
    exif[0x0112] = 6
    files["0.jpg"] = encode(Image.new("RGB", (WIDTH, HEIGHT)), "JPEG", exif=exif)
    document["images"][0] |= {"width": HEIGHT, "height": WIDTH}
    document["images"][1] |= {"width": 7, "height": 5}
    outline = [[2, 70, 30, 70, 30, 90, 2, 90]]
    document["annotations"].append(
        {"id": 9, "image_id": 0, "category_id": 3, "bbox": [2, 70, 28, 20], "segmentation": outline}
    )
    found = expected(write_split(tmp_path, document, files), MASKS)
    shapes = {each["image_id"]: pixels(each).shape for each in found["annotations"]}
    assert shapes == {0: (WIDTH, HEIGHT), 1: (HEIGHT, WIDTH)}
    (turned,) = (pixels(each) for each in found["annotations"] if each["id"] == 9)
    assert turned[70:90, 2:30].all()
    assert turned.sum() == 20 * 28


def test_a_box_without_a_mask_is_refused(tmp_path: Path) -> None:
    document, files = rectangles(3, seed=1, odd=False)
    document["annotations"][2]["segmentation"] = []
    split = write_split(tmp_path, document, files)
    with pytest.raises(UserError, match=r"train has 1 annotations without a mask \(ids 2\)"):
        expected(split, MASKS)


def test_keypoints_are_those_of_their_document(posed_split: Path) -> None:
    document = posed(rectangles(8, seed=0, odd=False)[0])
    found = expected(posed_split, KEYPOINTS)
    by_id = {each["id"]: each["keypoints"] for each in found["annotations"]}
    assert by_id == {each["id"]: each["keypoints"] for each in document["annotations"]}
    assert [each["keypoints"] for each in found["categories"]] == [list(POINTS.names)] * 2


def seventeen(config: ModelConfig) -> ModelConfig:
    return replace(config, keypoints=replace(POINTS, names=tuple(map(str, range(17)))))


def test_a_guess_of_how_far_keypoints_may_be_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    say_sigmas(MASKS)
    say_sigmas(seventeen(KEYPOINTS))
    assert not caplog.records
    say_sigmas(KEYPOINTS)
    assert caplog.messages == [
        "keypoints are scored with a sigma of 0.0669 each, the mean of COCO's: COCO has its own for"
        " 17 points, and these are 3"
    ]
