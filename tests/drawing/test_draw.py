import itertools
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from cocopipe.drawing import draw

NAMES = {4: "cat", 9: "dog"}

GREY = Image.new("RGB", (100, 50), (128, 128, 128))


def changed(item: dict[str, Any], **settings: Any) -> np.ndarray:
    """Which pixels drawing an object changes, at the picture's own size."""
    drawn = draw.picture(GREY, [{"category_id": 4, **item}], NAMES, side=100, **settings)
    assert drawn.size == GREY.size
    return np.asarray(ImageChops.difference(GREY, drawn)).any(axis=2)


def test_the_box_is_where_it_should_be() -> None:
    pixels = changed({"bbox": [40, 25, 30, 20]})
    assert pixels[25, 40] and pixels[44, 69] and pixels[35, 40]
    assert not pixels[35, 50], "the inside stays"
    assert not pixels[46:, :].any() and not pixels[:, :39].any()


@pytest.mark.parametrize("box", [None, [1, 2, 3], [float("nan"), 0, 5, 5], [0, 0, float("inf"), 5]])
def test_what_is_no_box_is_left_out(box: Any) -> None:
    assert not changed({"bbox": box}).any()


@pytest.mark.parametrize("box", [[-50, -50, 500, 500], [90, 40, -20, -20], [200, 10, 5, 5]])
def test_odd_boxes_are_drawn_as_far_as_they_can_be(box: list[float]) -> None:
    assert changed({"bbox": box}).any()


def test_crowds_are_dashed() -> None:
    item = {"bbox": [10, 25, 80, 20], "iscrowd": 1}
    bottom = changed(item)[43:47, 10:90].any(axis=0)
    assert 0.3 < bottom.mean() < 0.8


def test_masks_are_laid_over_the_picture() -> None:
    square = [[30, 20, 60, 20, 60, 40, 30, 40]]
    pixels = changed({"bbox": [0, 45, 2, 2], "segmentation": square})
    assert pixels[20:40, 30:60].all()
    assert not pixels[:20].any() and not pixels[20:40, 61:].any()


@pytest.mark.parametrize("counts", ["", "11", "abc", [1, 2]])
def test_masks_that_cannot_be_told_are_left_out(counts: Any) -> None:
    item = {"bbox": [0, 45, 2, 2]}
    segmentation = {"size": [50, 100], "counts": counts}
    assert np.array_equal(changed(item | {"segmentation": segmentation}), changed(item))


def test_labels_do_not_cover_each_other() -> None:
    same = [{"category_id": 9, "bbox": [10, 20, 60, 20]} for _ in range(9)]
    one = draw.picture(GREY, same[:4], NAMES, side=400)
    many = draw.picture(GREY, same, NAMES, side=400)
    assert one.tobytes() == many.tobytes()


def test_scores_are_shown() -> None:
    item = {"category_id": 9, "bbox": [10, 20, 60, 20]}
    plain = draw.picture(GREY, [item], NAMES, side=400)
    scored = draw.picture(GREY, [item | {"score": 0.87}], NAMES, side=400)
    assert plain.tobytes() != scored.tobytes()


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16"])
def test_any_kind_of_picture(mode: str) -> None:
    item = {"category_id": 9, "bbox": [1, 1, 3, 3]}
    assert draw.picture(Image.new(mode, (10, 10)), [item], NAMES).mode == "RGB"


def test_of_sixteen_bits_the_upper_eight_are_shown() -> None:
    ramp = np.linspace(0, 65535, 100 * 50).astype(np.uint16).reshape(50, 100)
    drawn = draw.picture(Image.fromarray(ramp), [], NAMES, side=100)
    assert np.array_equal(np.asarray(drawn), np.stack([ramp // 256] * 3, axis=2))


def test_very_long_pictures() -> None:
    item = {"category_id": 9, "bbox": [1, 0, 300, 1]}
    assert draw.picture(Image.new("RGB", (5000, 1)), [item], NAMES).size == (draw.SIDE, 1)


def test_a_sheet_has_room_for_all() -> None:
    pictures = [Image.new("RGB", size) for size in [(40, 20), (20, 40), (30, 30)]]
    sheet = draw.sheet(pictures, columns=2, captions=["a", "b" * 500, "漢字 \n $x^2$"])
    assert sheet.width > 80
    assert sheet.height > 70
    assert draw.sheet([], columns=2).width > 0


def test_beside_is_twice_as_wide() -> None:
    both = draw.beside(GREY, [], [{"category_id": 4, "bbox": [1, 1, 5, 5], "score": 1}], NAMES)
    assert both.width > 2 * draw.SIDE


def test_colours_of_neighbours_differ() -> None:
    colors = [draw._color(index) for index in range(80)]
    assert len(set(colors)) == 80
    nearest = min(np.abs(np.subtract(a, b)).sum() for a, b in itertools.pairwise(colors))
    assert nearest > 100


POSE = [20, 20, 2, 80, 20, 1, 80, 44, 2, 0, 0, 0]
AWAY = {"bbox": [0, 45, 2, 2]}


def test_keypoints_are_discs_joined_by_their_skeleton() -> None:
    item = {**AWAY, "keypoints": POSE}
    plain = changed(item)
    assert plain[20, 20] and plain[44, 80]
    assert not plain[20, 80], "hidden: hollow"
    assert plain[20, 83]
    assert not plain[32, 50]
    skeleton = {4: [[1, 3], [1, 4], [2, 9], [1], "x"]}
    joined = changed(item, skeletons=skeleton)
    assert joined[32, 50], "from the first to the third"
    assert not joined[10, 10], "the fourth is not labelled"


def test_keypoints_of_a_detector_are_all_seen() -> None:
    points = [value if place % 3 < 2 else 1 for place, value in enumerate(POSE[:9])]
    assert changed({**AWAY, "keypoints": points})[20, 80]


@pytest.mark.parametrize("points", [None, "x", [1, 2], [float("nan"), 1, 2], ["1", 1, 2], []])
def test_what_is_no_keypoints_is_not_drawn(points: Any) -> None:
    assert np.array_equal(changed({**AWAY, "keypoints": points}), changed(AWAY))
