from typing import Any

import pytest
from torchvision.models.detection import KeypointRCNN_ResNet50_FPN_Weights

from cocopipe.detect.network.parts import Keypoints, Part, parts_of
from cocopipe.errors import UserError

COCO = KeypointRCNN_ResNet50_FPN_Weights.COCO_V1.meta["keypoint_names"]


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("fcos_tiny", (Part.BOX,)),
        ("fasterrcnn_resnet50_fpn", (Part.BOX,)),
        ("maskrcnn_resnet50_fpn_v2", (Part.BOX, Part.MASK)),
        ("keypointrcnn_resnet50_fpn", (Part.BOX, Part.KEYPOINTS)),
    ],
)
def test_what_a_detector_tells(architecture: str, expected: tuple[Part, ...]) -> None:
    assert parts_of(architecture) == expected


def test_in_a_mirror_the_sides_of_cocos_points_change() -> None:
    mirrored = Keypoints(tuple(COCO), ()).mirrored
    # As torchvision's and detectron2's own flips have it.
    assert mirrored == (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("LeftEye", "RightEye", "nose"), (1, 0, 2)),
        (("L. paw", "R. paw"), (1, 0)),
        (("eye right", "Eye Left"), (1, 0)),
        (("left_eye", "nose"), (0, 1)),
        (("1", "2"), (0, 1)),
        (("bright", "cleft"), (0, 1)),
    ],
)
def test_sides_are_told_by_words(names: tuple[str, ...], expected: tuple[int, ...]) -> None:
    assert Keypoints(names, ()).mirrored == expected


def person(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "name": "person", "keypoints": ["a", "b"], **fields}


def test_points_and_lines_are_the_datasets() -> None:
    odd = [[1, 2], [0, 1], [2, 3], [1], "x", [True, None]]
    found = Keypoints.of([person(skeleton=odd), person(name="dog")], "m")
    assert found == Keypoints(("a", "b"), ((1, 2),))
    assert Keypoints.of([person()], "m").skeleton == ()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"keypoints": None}, "needs keypoints, which category 'dog' of the dataset does not name"),
        ({"keypoints": []}, "give the source a person_keypoints document"),
        ({"keypoints": ["a", "c"]}, "but 'dog' has others than 'person'"),
    ],
)
def test_categories_without_the_same_points_are_refused(
    other: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        Keypoints.of([person(), person(name="dog", **other)], "keypointrcnn_resnet50_fpn")
