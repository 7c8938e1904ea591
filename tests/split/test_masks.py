import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO

from cocopipe.split.masks import encoded, mask, rle

HEIGHT, WIDTH = 50, 100
SIZE = [HEIGHT, WIDTH]
SQUARE = np.zeros((HEIGHT, WIDTH), np.uint8)
SQUARE[20:40, 30:60] = 1


def packed(pixels: np.ndarray) -> str:
    """Compressed runs, as pycocotools writes them."""
    text: str = coco.encode(np.asfortranarray(pixels, np.uint8))["counts"].decode()
    return text


def runs(pixels: np.ndarray) -> list[int]:
    """Uncompressed runs."""
    edges = np.flatnonzero(np.diff(pixels.T.ravel(), prepend=0))
    lengths: list[int] = np.diff(edges, prepend=0, append=pixels.size).tolist()
    return lengths


@pytest.mark.parametrize(
    "segmentation",
    [
        [[30, 20, 60, 20, 60, 40, 30, 40]],
        [[30, 20, 45, 20, 45, 40, 30, 40], [45, 20, 60, 20, 60, 40, 45, 40], [1, 2, 3, 4], []],
        {"size": SIZE, "counts": packed(SQUARE)},
        {"size": SIZE, "counts": runs(SQUARE)},
    ],
)
def test_all_kinds_of_segmentations(segmentation: Any) -> None:
    found = mask(segmentation, height=HEIGHT, width=WIDTH)
    assert found is not None
    assert found.dtype == np.bool_
    assert np.array_equal(found, SQUARE.astype(bool))


@pytest.mark.parametrize("share", [0, 0.002, 0.5, 1])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (50, 100), (900, 700)])
def test_runs_are_read_as_pycocotools_reads_them(shape: tuple[int, int], share: float) -> None:
    pixels = (np.random.default_rng(0).random(shape) < share).astype(np.uint8)
    height, width = shape
    for counts in (packed(pixels), runs(pixels)):
        found = mask({"size": [height, width], "counts": counts}, height=height, width=width)
        assert found is not None
        assert np.array_equal(found, pixels.astype(bool))


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        "mask",
        [],
        [3, 4],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [["a", "b", "c", "d", "e", "f"]],
        [[0, 0, 1, 1, None, 2]],
        [[float("nan"), 0, 10, 0, 10, 10]],
        [[float("inf"), 0, 10, 0, 10, 10]],
        {"size": SIZE},
        {"size": SIZE[::-1], "counts": packed(SQUARE)},
        *(
            {"size": SIZE, "counts": counts}
            for counts in (
                *(None, [], [1, 2], [5, 10], [-1, 5001], [2500.0, 2500.0], [True] * 5000),
                *("", "11", "abc", "\0", "é", packed(SQUARE)[:-1], packed(SQUARE) + "1"),
                "o" * 1_000_000,
            )
        ),
    ],
)
def test_what_cannot_be_told_is_no_mask(segmentation: Any) -> None:
    assert mask(segmentation, height=HEIGHT, width=WIDTH) is None


@pytest.mark.parametrize("far", [1e3, 5e8, 1e300])
def test_corners_may_be_far_away(far: float) -> None:
    found = mask([[-far, -far, far, -far, far, far, -far, far]], height=HEIGHT, width=WIDTH)
    assert found is not None
    assert found.all()


@pytest.mark.real_data
def test_masks_of_real_data_are_those_of_pycocotools(real_data: Path) -> None:
    paths = ["coco128/annotations/instances_train2017.json"]
    paths += ["edge_cases/string_rle/annotations/instances_val2017.json"]
    for path in paths:
        truth = COCO(real_data / path)
        for annotation in list(truth.anns.values())[:120]:
            image = truth.imgs[annotation["image_id"]]
            size = {name: image[name] for name in ("height", "width")}
            found = mask(annotation["segmentation"], **size)
            assert np.array_equal(found, truth.annToMask(annotation).astype(bool))


@pytest.mark.parametrize(
    "segmentation",
    [
        [[2, 1, 9, 1, 9, 6, 2, 6]],
        [[2, 1, 9, 1, 9, 6, 2, 6], [0, 0, 3, 0, 0, 3]],
        {"size": [8, 12], "counts": [5, 10, 81]},
        {"size": [8, 12], "counts": [0, 96]},
        [[1, 1, 2, 2]],
        {"size": [8, 11], "counts": [5, 10, 81]},
        {"size": [8, 12], "counts": [5, 10]},
        None,
    ],
)
def test_encoded_are_the_same_pixels_as_text(segmentation: Any) -> None:
    drawn = mask(segmentation, height=8, width=12)
    found = encoded(segmentation, height=8, width=12)
    if drawn is None:
        assert found is None
        return
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    assert np.array_equal(coco.decode(found), drawn)
    assert encoded(found, height=8, width=12) == found == rle(drawn)
