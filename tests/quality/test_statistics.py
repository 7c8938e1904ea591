import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pycocotools.coco import COCO

from cocopipe.errors import UserError
from cocopipe.quality.statistics import Spread, measure, statistics
from tests.coco_files import boxed, official, picture, write_files

Convert = Callable[..., tuple[Path, Path]]


@pytest.mark.real_data
def test_figures_are_those_of_pycocotools_and_pandas(real_data: Path, to_splits: Convert) -> None:
    train, _ = to_splits(real_data / "coco_mini")
    found = statistics(train, measure(train))
    truth = COCO(real_data / "coco_mini" / "annotations" / "instances_train2017.json")
    objects = pd.DataFrame(truth.dataset["annotations"])
    assert found.images == len(truth.imgs)
    assert found.annotations == len(objects)
    assert found.images_without_objects == len(truth.imgs) - objects.image_id.nunique()
    assert found.crowd == objects.iscrowd.sum()
    assert found.crowd_share == pytest.approx(objects.iscrowd.mean())
    plain = objects[objects.iscrowd == 0]
    borders = [0, 32**2, 96**2, 1e10]
    for name, low, high in zip(("small", "medium", "large"), borders, borders[1:], strict=False):
        ids = truth.getAnnIds(areaRng=[low, high], iscrowd=False)
        assert getattr(found.sizes, name) == len(ids)
    widths = plain.bbox.str[2]
    assert found.box_width is not None
    assert found.box_width.median == pytest.approx(widths.median())
    assert found.box_width.maximum == widths.max()
    per_category = objects.groupby("category_id")
    for category in found.categories:
        assert category.name == truth.cats[category.id]["name"]
        own = per_category.get_group(category.id)
        assert category.objects == len(own)
        assert category.images == len(truth.getImgIds(catIds=[category.id]))
        assert category.crowd == own.iscrowd.sum()


def test_odd_boxes_are_told_and_do_not_count_as_sizes(splits_of: Convert) -> None:
    boxes = [
        [1, 1, 10, 10],
        [math.nan, 1, 1, 1],
        [1, 1, 0, 5],
        [1, 1, -3, 5],
        [70, 1, 20, 40],
        None,
    ]
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 80, "height": 60}],
        "annotations": [
            {"id": index, "image_id": 1, "category_id": 1, "bbox": box}
            for index, box in enumerate(boxes)
        ],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "unused"}],
    }
    train, _ = splits_of({"train": document, "val": document})
    found = statistics(train, measure(train))
    assert found.odd.not_finite == 1
    assert found.odd.degenerate == 2
    assert found.odd.outside == 1
    assert found.odd.without_box == 1
    assert found.odd.annotation_ids == [1, 2, 3, 4, 5]
    # The box that only reaches outside is still used.
    assert (found.sizes.small, found.sizes.medium, found.sizes.large) == (2, 0, 0)
    assert found.box_width == Spread(10, 11, 15, 19, 20)
    assert [category.objects for category in found.categories] == [6, 0]


@pytest.mark.parametrize("sides", [(0, 0), (-1, 60), (None, 60)])
def test_a_size_that_none_has_is_none(
    tmp_path: Path, to_splits: Convert, sides: tuple[Any, int]
) -> None:
    """For those who count odd boxes as for those who count sizes."""
    document = boxed([1])
    document["images"][0] |= dict(zip(("width", "height"), sides, strict=True))
    document["annotations"][0]["bbox"] = [70, 1, 20, 40]
    files = official([2], "val") | {
        "annotations/instances_train.json": document,
        f"train/{document['images'][0]['file_name']}": picture(1),
    }
    train, _ = to_splits(write_files(tmp_path / "raw", files))
    found = statistics(train, measure(train))
    assert (found.odd.outside, found.image_width) == (0, None)


def test_a_split_without_anything(splits_of: Convert) -> None:
    empty: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    train, _ = splits_of({"train": boxed([1]), "val": boxed([2]), "test": empty})
    test = train.parent / "test"
    found = statistics(test, measure(test))
    assert found.images == found.annotations == 0
    assert found.crowd_share == found.objects_per_image == 0
    assert found.box_width is found.image_width is None
    assert all(value == 0 for value in found.metrics().values())


def test_only_captions(splits_of: Convert) -> None:
    document = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "noise"}],
    }
    train, _ = splits_of({"train": document, "val": document}, "captions")
    message = "has no instances table, only captions; detection needs COCO instances"
    with pytest.raises(UserError, match=message):
        measure(train)
