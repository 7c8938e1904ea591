import math

from cocopipe.split.boxes import OddBoxes, count_odd, odd_boxes


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
