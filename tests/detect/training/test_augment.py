import pickle
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from cocopipe.detect.network.parts import Keypoints
from cocopipe.detect.settings import Augment
from cocopipe.detect.training.augment import augmentation, magnifies
from tests.detect.small import UNCHANGED

HEIGHT, WIDTH = 40, 60

PER_OBJECT = ("boxes", "labels", "area", "iscrowd", "masks")
"""Fields of a target that have one entry an object."""


def scene() -> tuple[Tensor, dict[str, Tensor]]:
    """A dark image with one bright rectangle, and a small one in the corner."""
    boxes = torch.tensor([[20.0, 10, 36, 30], [0, 0, 3, 3]])
    image = torch.zeros(3, HEIGHT, WIDTH, dtype=torch.uint8)
    masks = torch.zeros(2, HEIGHT, WIDTH, dtype=torch.uint8)
    for place, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
        image[:, y1:y2, x1:x2] = 255
        masks[place, y1:y2, x1:x2] = 1
    target = {
        "boxes": boxes,
        "labels": torch.tensor([1, 2]),
        "image_id": torch.tensor(9),
        "area": torch.tensor([320.0, 9]),
        "iscrowd": torch.tensor([0, 0]),
        "masks": masks,
    }
    return image, target


def extent(mask: Tensor) -> list[int]:
    """The smallest xyxy box around a mask."""
    ys, xs = mask.nonzero(as_tuple=True)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


@pytest.mark.parametrize("settings", [UNCHANGED, replace(UNCHANGED, scale=[1, 1])])
def test_nothing_asked_is_nothing_done(settings: Augment) -> None:
    assert augmentation(settings) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, False),
        ({"horizontal_flip": 1, "photometric": 1, "scale": [0.5, 1]}, False),
        ({"scale": [0.5, 1.1]}, True),
        ({"crop": 0.1}, True),
        ({"multi_scale": [64, 96]}, True),
    ],
)
def test_crops_and_zooms_in_magnify(change: dict[str, object], expected: bool) -> None:
    assert magnifies(replace(UNCHANGED, **change)) is expected


def test_a_flip_moves_pixels_boxes_and_masks_alike() -> None:
    flip = augmentation(replace(UNCHANGED, horizontal_flip=1))
    assert flip is not None
    image, target = scene()
    flipped, after = flip(image, target)
    assert torch.equal(flipped, image.flip(-1))
    assert torch.equal(after["masks"], target["masks"].flip(-1))
    assert after["boxes"].tolist() == [[24, 10, 40, 30], [57, 0, 60, 3]]
    assert all(type(part) is Tensor for part in (flipped, *after.values()))


def test_zooming_in_loses_what_leaves_the_image_with_all_its_fields() -> None:
    zoom = augmentation(replace(UNCHANGED, scale=[2, 2]))
    assert zoom is not None
    image, after = zoom(*scene())
    assert image.shape == (3, HEIGHT, WIDTH)
    assert {name: len(after[name]) for name in PER_OBJECT} == dict.fromkeys(PER_OBJECT, 1)
    assert after["labels"].tolist() == [1]
    assert after["boxes"].tolist() == [[10, 0, 42, 40]]
    assert extent(after["masks"][0]) == [10, 0, 42, 40]
    assert after["image_id"] == 9


def test_zooming_out_fills_with_the_mean_of_imagenet() -> None:
    zoom = augmentation(replace(UNCHANGED, scale=[0.5, 0.5]))
    assert zoom is not None
    image, after = zoom(*scene())
    assert after["boxes"][0].tolist() == [25, 15, 33, 25]
    assert image[:, 0, 0].tolist() == [124, 116, 104]


@pytest.mark.parametrize("objects", [2, 0])
def test_a_random_pipeline_is_the_generators_and_keeps_boxes_on_their_objects(objects: int) -> None:
    settings = replace(UNCHANGED, horizontal_flip=0.5, photometric=0.5, scale=[0.7, 1.4], crop=0.5)
    augment = augmentation(settings)
    assert augment is not None
    copied = pickle.loads(pickle.dumps(augment))
    sizes = set()
    for seed in range(30):
        image, target = scene()
        target |= {name: target[name][:objects] for name in PER_OBJECT}
        torch.manual_seed(seed)
        changed, after = augment(image, target)
        torch.manual_seed(seed)
        again, _ = copied(*scene()[:1], target)
        assert torch.equal(changed, again)
        sizes.add(changed.shape)
        assert len({len(after[name]) for name in PER_OBJECT}) == 1
        assert after["boxes"].dtype == torch.float32
        for box, mask in zip(after["boxes"], after["masks"], strict=True):
            assert torch.allclose(torch.tensor(extent(mask)).float(), box, atol=1.5)
    assert len(sizes) > 1 or objects == 0


POINTS = Keypoints(("left_eye", "right_eye", "nose"), ())


def posed_scene() -> tuple[Tensor, dict[str, Tensor]]:
    """The same with three points each; of the small one, the last is not labelled."""
    image, target = scene()
    points = [[[20.0, 10, 2], [35, 10, 1], [28, 20, 2]], [[0, 0, 2], [2, 0, 2], [0, 0, 0]]]
    return image, {**target, "keypoints": torch.tensor(points)}


def test_in_a_mirror_keypoints_move_and_change_sides() -> None:
    flip = augmentation(replace(UNCHANGED, horizontal_flip=1), POINTS)
    assert flip is not None
    image, target = posed_scene()
    flipped, after = flip(image, target)
    assert torch.equal(flipped, image.flip(-1))
    assert after["keypoints"].tolist() == [
        [[24, 10, 1], [39, 10, 2], [31, 20, 2]],
        [[57, 0, 2], [59, 0, 2], [0, 0, 0]],
    ]
    assert all(type(part) is Tensor for part in (flipped, *after.values()))
    again = flip(flipped, after)[1]
    assert torch.equal(again["keypoints"], target["keypoints"])


def test_keypoints_that_leave_the_image_are_no_longer_labelled() -> None:
    zoom = augmentation(replace(UNCHANGED, scale=[2, 2]), POINTS)
    assert zoom is not None
    _, after = zoom(*posed_scene())
    # About the centre (30, 20): 20 goes to 10, and y 10 to 0; the small object is outside.
    assert after["keypoints"].tolist() == [[[10, 0, 2], [40, 0, 1], [26, 20, 2]]]
    image, target = posed_scene()
    target["keypoints"][0, 0, 1] = 9
    assert zoom(image, target)[1]["keypoints"][0, 0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("objects", [2, 0])
def test_a_random_pipeline_keeps_keypoints_on_their_objects(objects: int) -> None:
    settings = replace(UNCHANGED, horizontal_flip=0.5, photometric=0.5, scale=[0.7, 1.4], crop=0.5)
    augment = pickle.loads(pickle.dumps(augmentation(settings, POINTS)))
    image, target = posed_scene()
    for name in (*PER_OBJECT, "keypoints"):
        target[name] = target[name][:objects]
    seen = 0
    for seed in range(20):
        torch.manual_seed(seed)
        changed, after = augment(image, target)
        assert after["keypoints"].shape == (len(after["boxes"]), 3, 3)
        height, width = changed.shape[1:]
        for (x1, y1, x2, y2), points in zip(after["boxes"], after["keypoints"], strict=True):
            for x, y, visibility in points[points[:, 2] > 0]:
                assert visibility in (1, 2)
                assert 0 <= x <= width
                assert 0 <= y <= height
                assert x1 - 3 <= x <= x2 + 3
                assert y1 - 3 <= y <= y2 + 3
                seen += 1
    assert bool(seen) == bool(objects)


def test_names_that_tell_no_sides_are_said(caplog: pytest.LogCaptureFixture) -> None:
    settings = replace(UNCHANGED, horizontal_flip=0.5)
    augmentation(settings, POINTS)
    augmentation(settings)
    augmentation(UNCHANGED, Keypoints(("a", "b"), ()))
    assert not caplog.records
    augmentation(settings, Keypoints(("a", "b"), ()))
    assert "no keypoint changes sides in a mirror" in caplog.text
    assert "(a, b)" in caplog.text
