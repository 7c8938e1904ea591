import math
from typing import Any

import numpy as np
import pytest

from cocopipe.split.boxes import OddBoxes, are_usable, count_odd, is_box, odd_boxes


def test_each_box_counts_once() -> None:
    boxes = [
        [0, 0, 20, 12],
        [-0.5, 0, 20.9, 12.5],  # rounding
        [math.nan, 0, -1, 1],
        [0, 0, math.inf, 1],
        [0, 0, 0, 5],
        [30, 0, 5, -5],
        [-2, 0, 5, 5],
        [18, 0, 4, 5],
    ]
    kinds = odd_boxes(boxes, [[20, 12]] * len(boxes))
    assert kinds.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert count_odd(kinds) == OddBoxes(not_finite=2, degenerate=2, outside=2)


def test_no_boxes_and_no_image_size() -> None:
    assert odd_boxes([], []).tolist() == []
    assert odd_boxes([[0, 0, 1e9, 1]], [[math.inf, math.inf]]).tolist() == [0]


def test_a_box_beyond_all_numbers() -> None:
    assert odd_boxes([[1e308, 0, 1e308, 1]], [[20, 12]]).tolist() == [3]


def test_boxes_count_that_are_finite_and_have_an_area() -> None:
    boxes = np.array(
        [
            [-5, 2, 0.5, 3],  # beyond the border, too
            [0, 0, 1, 1],
            [0, 0, 0, 1],
            [0, 0, 4, -4],
            [math.nan] * 4,
            [0, math.inf, 1, 1],
        ]
    )
    assert are_usable(boxes).tolist() == [True, True, False, False, False, False]
    assert are_usable(boxes, smallest=1).tolist() == [False, True, False, False, False, False]
    assert are_usable(boxes[:0]).tolist() == []


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, 2, 3],
        (1, 2, 3, 4),
        [1, 2, 3, "4"],
        [1, 2, 3, None],
        [math.nan, 0, 1, 1],
        {},
        "1234",
    ],
)
def test_what_is_no_box_in_json(value: Any) -> None:
    assert not is_box(value)


def test_a_box_in_json_may_lack_an_area() -> None:
    assert is_box([1, 2.5, 0, -3])
