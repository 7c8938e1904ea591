"""Two versions of a split compared; what is true is told by the COCO documents themselves."""

import copy
import json
import math
import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask

from cocopipe.diff import matching
from cocopipe.diff.answer import CHANGED_OBJECTS, Change, Changes, ListedImage
from cocopipe.diff.changes import compare
from cocopipe.errors import UserError
from tests.coco_files import picture, write_files
from tests.converting import convert_into

Json = dict[str, Any]

# pycocotools 2.0.11 on NumPy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CATEGORIES = [{"id": 3, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 7, "name": "emu"}]


def document(
    annotations: list[Json], images: "list[int] | range" = range(1, 4), **top: Any
) -> Json:
    return {
        "images": [
            {"id": number, "file_name": f"{number}.jpg", "width": 400, "height": 300}
            for number in images
        ],
        "annotations": annotations,
        "categories": CATEGORIES,
        **top,
    }


def thing(number: int, box: Any, category: Any = 3, image: int = 1, **more: Any) -> Json:
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


PICTURES = {number: picture(number) for number in range(40)}


@dataclass
class Versions:
    """Makes converted splits of documents."""

    folder: Path
    made: int = 0

    def __call__(
        self,
        content: Json,
        name: str = "instances",
        pictures: Mapping[str, bytes] | None = None,
        **settings: Any,
    ) -> Path:
        """A split of these images; an image's bytes go by its id if ``pictures`` has none."""
        self.made += 1
        raw = self.folder / f"raw-{self.made}"
        empty = {**content, "images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}
        files: dict[str, Any] = {
            f"annotations/{name}_train.json": content,
            f"annotations/{name}_val.json": empty,
            "val/1.jpg": PICTURES[1],
        }
        for image in content["images"]:
            data = (pictures or {}).get(image["file_name"], PICTURES[image["id"] % 40])
            files[f"train/{image['file_name']}"] = data
        _, train, _ = convert_into(
            write_files(raw, files), self.folder / f"data-{self.made}", workers=1, **settings
        )
        shutil.rmtree(raw)
        return train


@pytest.fixture
def version(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def counts(changes: Changes) -> dict[str, int]:
    """Of the objects that changed in images of both versions, but for zeros."""
    found = {str(kind): getattr(changes.boxes, kind) for kind in Change}
    return {kind: count for kind, count in found.items() if count}


def between(version: Versions, before: list[Json], after: list[Json], **settings: Any) -> Changes:
    return compare(version(document(before)), version(document(after)), **settings)


def mirrored(changes: Changes) -> Json:
    """As if the versions had changed places."""
    swap = {
        "added": "removed",
        "before": "after",
        "of_added_images": "of_removed_images",
        "relabelled_to": "relabelled_from",
    }
    swap |= {new: old for old, new in swap.items()}

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {swap.get(name, name): turned(item) for name, item in value.items()}
        return [turned(item) for item in value] if isinstance(value, list) else value

    return turned(changes.as_dict())


def in_any_order(value: Any) -> Any:
    """The same with lists sorted, which the order of ids decides."""
    if isinstance(value, dict):
        return {name: in_any_order(item) for name, item in value.items()}
    if isinstance(value, list):
        return sorted(map(in_any_order, value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def assert_adds_up(changes: Changes) -> None:
    boxes = changes.boxes
    both = boxes.moved + boxes.relabelled + boxes.other + boxes.unchanged
    assert boxes.before == both + boxes.removed + boxes.of_removed_images
    assert boxes.after == both + boxes.added + boxes.of_added_images
    for one in changes.categories:
        went, came = one.removed + one.relabelled_from, one.added + one.relabelled_to
        assert one.after == one.before - went + came
    assert sum(one.before for one in changes.categories) == boxes.before
    assert sum(one.added for one in changes.categories) == boxes.added + boxes.of_added_images
    assert sum(one.moved for one in changes.categories) == boxes.moved
    assert sum(one.count for one in changes.relabelled) == boxes.relabelled
    assert sum(one.changes for one in changes.by_image) == len(changes.objects)
    assert Counter(changes.objects["change"].to_pylist()) == counts(changes)
    assert changes.objects.schema == CHANGED_OBJECTS
    json.dumps(changes.as_dict(), allow_nan=False)


# Objects


A, B, C = [10, 10, 100, 100], [200, 10, 100, 100], [10, 150, 100, 100]


def test_each_kind_of_change(version: Versions) -> None:
    before = [
        thing(1, A),
        thing(2, B, image=1),
        thing(3, C, 1, image=1),
        thing(4, A, image=2),
        thing(5, B, image=2, area=9.0),
        thing(6, C, image=2),
    ]
    after = [
        thing(1, A),
        thing(2, [205, 10, 100, 100], image=1),
        thing(3, C, 7, image=1),
        thing(5, B, image=2, area=8.0),
        thing(6, C, image=2),
        thing(9, B, 1, image=3),
    ]
    changes = between(version, before, after)
    assert counts(changes) == dict.fromkeys(map(str, Change), 1)
    assert changes.boxes.unchanged == 2
    assert changes.boxes.iou_mean == changes.boxes.iou_least == pytest.approx(95 / 105)
    assert [(one.before, one.after, one.count) for one in changes.relabelled] == [("dog", "emu", 1)]
    assert [(one.after.image_id, one.changes) for one in changes.by_image] == [
        (1, 2),
        (2, 2),
        (3, 1),
    ]
    assert_adds_up(changes)
    listed = {one["change"]: one for one in changes.objects.to_pylist()}
    assert listed["moved"] == {
        "source_before": "train",
        "source_after": "train",
        "image_id_before": 1,
        "image_id_after": 1,
        "change": "moved",
        "id_before": 2,
        "id_after": 2,
        "category_before": "cat",
        "category_after": "cat",
        "iou": changes.boxes.iou_mean,
    }
    assert (listed["added"]["id_before"], listed["added"]["id_after"]) == (None, 9)
    assert (listed["removed"]["id_before"], listed["removed"]["id_after"]) == (4, None)
    assert listed["added"]["category_before"] is listed["added"]["iou"] is None


def test_other_order_of_the_document_is_no_change(version: Versions) -> None:
    annotations = [thing(number, [number, 1, 50, 50], image=number % 3 + 1) for number in range(9)]
    one, other = document(annotations), document(annotations[::-1])
    other["images"].reverse()
    other["categories"] = other["categories"][::-1]
    assert compare(version(one), version(other)).is_empty


@pytest.mark.parametrize("shift", [0, 1, 500])
def test_ids_that_were_moved_on_are_no_evidence(version: Versions, shift: int) -> None:
    """The first one is gone, and all that follow have the id of their neighbour."""
    before = [thing(number, [30 * number, 10, 60, 60]) for number in range(10)]
    after = [thing(number - 1 + shift, [30 * number, 10, 60, 60]) for number in range(1, 10)]
    after[4]["bbox"] = [151, 11, 60, 60]
    after[5]["category_id"] = 1
    changes = between(version, before, after)
    assert counts(changes) == {"removed": 1, "moved": 1, "relabelled": 1}
    assert changes.boxes.renumbered == (9 if shift != 1 else 0)


def test_all_boxes_rounded_and_renumbered(version: Versions) -> None:
    boxes = [[30 * number + 0.4, 10.3, 60.2, 60.1] for number in range(10)]
    before = [thing(number, box) for number, box in enumerate(boxes)]
    after = [thing(number + 1, list(map(round, box))) for number, box in enumerate(boxes)]
    changes = between(version, before, after)
    assert counts(changes) == {"moved": 10}
    assert changes.boxes.iou_least is not None and changes.boxes.iou_least > 0.97


def test_kept_ids_tell_neighbours_apart(version: Versions) -> None:
    """Each box is now nearer to where its neighbour was; two others say that ids were kept."""
    steady = [thing(90, B), thing(91, C)]
    before = [thing(number, [12 * number, 10, 15, 80]) for number in range(8)]
    after = [thing(number, [12 * number + 10, 10, 15, 80]) for number in range(8)]
    assert counts(between(version, steady + before, steady + after)) == {"moved": 8}


def test_one_id_far_away_is_one_object_where_ids_were_kept(version: Versions) -> None:
    before, after = [thing(1, A), thing(2, C)], [thing(1, B), thing(2, C)]
    changes = between(version, before, after)
    assert counts(changes) == {"moved": 1}
    assert changes.boxes.iou_least == 0
    of_another_category = [thing(1, B, 1), thing(2, C)]
    assert counts(between(version, before, of_another_category)) == {"added": 1, "removed": 1}


def test_labels_of_two_that_overlap_are_exchanged(version: Versions) -> None:
    near = [14, 10, 100, 100]
    before, after = [thing(1, A, 3), thing(2, near, 1)], [thing(1, A, 1), thing(2, near, 3)]
    assert counts(between(version, before, after)) == {"relabelled": 2}


def test_one_category_comes_before_greater_overlap(version: Versions) -> None:
    before = [thing(1, A, 3)]
    after = [thing(11, [11, 10, 100, 100], 1), thing(12, [20, 10, 100, 100], 3)]
    assert counts(between(version, before, after)) == {"added": 1, "moved": 1}


def test_what_overlaps_less_than_the_threshold_is_another(version: Versions) -> None:
    before, after = [thing(1, A)], [thing(2, [50, 10, 100, 100])]
    assert counts(between(version, before, after)) == {"added": 1, "removed": 1}
    assert counts(between(version, before, after, iou=0.4)) == {"moved": 1}


def test_copies_are_objects_of_their_own(version: Versions) -> None:
    changes = between(version, [thing(1, A), thing(2, A), thing(3, A)], [thing(8, A), thing(9, A)])
    assert counts(changes) == {"removed": 1}
    assert changes.boxes.unchanged == 2


@pytest.mark.parametrize(
    "box",
    [None, [math.nan, 1, 2, 3], [math.nan] * 4, [5, 5, 0, 9], [5, 5, -3, 9], [1, 1, math.inf, 1]],
)
@pytest.mark.parametrize("same_id", [True, False])
def test_boxes_that_are_none(version: Versions, box: Any, same_id: bool) -> None:
    other = 1 if same_id else 50
    assert between(version, [thing(1, box)], [thing(other, box)]).is_empty
    changes = between(version, [thing(1, box)], [thing(other, A)])
    assert counts(changes) == ({"moved": 1} if same_id else {"added": 1, "removed": 1})
    assert changes.boxes.iou_least == (0 if same_id else None)
    changes = between(version, [thing(1, box, area=1.5)], [thing(other, box, area=2.5)])
    is_known = same_id or (box is not None and not all(map(math.isnan, box)))
    assert counts(changes) == ({"other": 1} if is_known else {"added": 1, "removed": 1})
    assert_adds_up(changes)


def test_boxes_of_any_size(version: Versions) -> None:
    huge = [1e308, 1e308, 1e308, 1e308]
    tiny = [0, 0, 5e-324, 5e-324]
    before = [thing(1, huge), thing(2, tiny), thing(3, [-1e307, 0, 1.7e307, 1])]
    after = [thing(11, huge, 1), thing(12, tiny, 1), thing(13, [-1e307, 0, 1.6e307, 1])]
    assert counts(between(version, before, after)) == {"relabelled": 2, "moved": 1}


def test_pairs_are_compared_in_blocks(version: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [thing(n, [3 * n, 1, 9, 9], image=n % 3 + 1) for n in range(30)]
    after = [thing(n + 70, [3 * n, 2, 9, 9], image=n % 3 + 1) for n in range(30)]
    splits = version(document(before)), version(document(after))
    whole = compare(*splits)
    assert counts(whole) == {"moved": 30}
    for size in (1, 7, 30):
        monkeypatch.setattr(matching, "BLOCK", size)
        assert compare(*splits) == whole


def test_a_null_and_a_missing_box_are_not_the_same(version: Versions) -> None:
    without = {"id": 1, "image_id": 1, "category_id": 3}
    assert counts(between(version, [without], [without | {"bbox": None}])) == {"other": 1}
    assert counts(between(version, [without], [without | {"bbox": "none"}])) == {"other": 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"segmentation": [[1, 2, 3, 4, 5, 6]]}, {"segmentation": [[1, 2, 3, 4, 5, 7]]}),
        ({"segmentation": [[1, 2, 3, 4], [5, 6]]}, {"segmentation": [[1, 2], [3, 4, 5, 6]]}),
        ({"segmentation": [[1, 2, 3, 4], []]}, {"segmentation": [[1, 2, 3, 4]]}),
        ({"segmentation": []}, {}),
        (
            {"segmentation": {"size": [3, 4], "counts": [2, 10]}},
            {"segmentation": {"size": [3, 4], "counts": [10, 2]}},
        ),
        (
            {"segmentation": {"size": [3, 4], "counts": "0P7"}},
            {"segmentation": {"size": [3, 4], "counts": "0P8"}},
        ),
        ({"iscrowd": 0}, {"iscrowd": 1}),
        ({"iscrowd": 0}, {}),
        (
            {"keypoints": [1, 2, 2], "num_keypoints": 1},
            {"keypoints": [1, 2, 1], "num_keypoints": 1},
        ),
        ({"area": 3}, {"area": None}),
        ({"score": 0.5}, {"score": 0.6}),
        ({"attributes": {"occluded": True}}, {"attributes": {"occluded": False}}),
    ],
)
def test_any_other_field(version: Versions, one: Json, other: Json) -> None:
    changes = between(version, [thing(1, A, **one)], [thing(1, A, **other)])
    assert counts(changes) == {"other": 1}
    assert between(version, [thing(1, A, **one)], [thing(2, A, **one)]).is_empty


def test_numbers_are_compared_as_json_has_them(version: Versions) -> None:
    one, other = thing(1, [10, -0.0, 5, 5], area=1), thing(1, [10.0, 0, 5.0, 5], area=1.0)
    assert between(version, [one], [other]).is_empty


# Categories


def test_categories_are_what_their_names_say(version: Versions) -> None:
    before = document([thing(1, A, 3), thing(2, B, 1), thing(3, C, 7)])
    after = document([thing(1, A, 10), thing(2, B, 3), thing(3, C, 9)])
    after["categories"] = [
        {"id": 3, "name": "dog", "supercategory": "pet"},
        {"id": 10, "name": "cat"},
        {"id": 9, "name": "rhea"},
    ]
    changes = compare(version(before), version(after))
    assert counts(changes) == {"relabelled": 1}
    assert [(one.before, one.after) for one in changes.relabelled] == [("emu", "rhea")]
    listed = changes.as_dict()["listed"]
    assert listed == {
        "added": ["rhea"],
        "removed": ["emu"],
        "renumbered": [
            {"name": "cat", "before": [3], "after": [10]},
            {"name": "dog", "before": [1], "after": [3]},
        ],
        "edited": ["dog"],
    }
    assert [one.name for one in changes.categories] == ["cat", "dog", "emu", "rhea"]
    assert_adds_up(changes)


def test_other_fields_of_the_document(version: Versions) -> None:
    one = document([], info={"year": 2017}, licenses=[])
    other = document([], info={"year": 2018}, licenses=[], contributor="me")
    changes = compare(version(one), version(other))
    assert changes.document_fields == ("contributor", "info")
    assert not changes.is_empty


def test_captions(version: Versions) -> None:
    def captions(texts: Mapping[int, str]) -> Path:
        annotations = [
            {"id": number, "image_id": 1, "caption": text} for number, text in texts.items()
        ]
        content = document(annotations)
        del content["categories"]
        return version(content, "captions")

    before = captions({1: "a cat", 2: "a dog", 3: "two birds", 4: "a bird"})
    after = captions({1: "a cat", 2: "a dog 犬", 3: "two birds", 5: "a fish"})
    changes = compare(before, after, document="captions")
    assert counts(changes) == {"other": 1, "added": 1, "removed": 1}
    assert [one.name for one in changes.categories] == [None]
    assert_adds_up(changes)
    renumbered = captions({11: "a cat", 12: "a dog", 13: "two birds", 14: "a bird"})
    assert compare(before, renumbered, document="captions").is_empty


def test_categories_that_are_not_listed_are_still_read(version: Versions) -> None:
    one = [{"id": 1, "image_id": 1, "caption": "a", "category_id": 5}]
    contents = [document(copy.deepcopy(one)) for _ in range(2)]
    for content, category in zip(contents, (5, 6), strict=True):
        content["annotations"][0]["category_id"] = category
        del content["categories"]
    before, after = (version(content, "captions") for content in contents)
    assert counts(compare(before, after, document="captions")) == {"other": 1}


# Images


def test_each_change_of_an_image(version: Versions) -> None:
    before = document([thing(1, A, image=1), thing(2, B, image=1)], range(1, 8))
    after = document([thing(2, B, image=20), thing(3, B, image=20)], [2, 3, 4, 5, 6, 17, 20])
    after["images"][1]["file_name"] = "sub/3.jpg"
    after["images"][2]["width"] = 401
    after["images"][3]["license"] = 3
    after["images"][5]["file_name"] = "7.jpg"
    pictures = {"2.jpg": PICTURES[30], "7.jpg": PICTURES[7]}
    changes = compare(version(before), version(after, pictures=pictures))
    images = changes.images
    assert images.added == (ListedImage("train", 20, "20.jpg", 2),)
    assert images.removed == (ListedImage("train", 1, "1.jpg", 2),)

    def pairs(kind: str) -> list[tuple[int, str, int, str]]:
        return [
            (one.before.image_id, one.before.file_name, one.after.image_id, one.after.file_name)
            for one in getattr(images, kind)
        ]

    assert pairs("replaced") == [(2, "2.jpg", 2, "2.jpg")]
    assert pairs("renamed") == [(3, "3.jpg", 3, "sub/3.jpg")]
    assert pairs("relisted") == [(4, "4.jpg", 4, "4.jpg"), (5, "5.jpg", 5, "5.jpg")]
    assert pairs("renumbered") == [(7, "7.jpg", 17, "7.jpg")]
    assert (images.before, images.after) == (7, 7)
    assert (changes.boxes.of_added_images, changes.boxes.of_removed_images) == (2, 2)
    assert counts(changes) == {}
    assert_adds_up(changes)


def test_images_that_a_tool_numbered_again_are_the_same(version: Versions) -> None:
    before = document([thing(number, A, image=number) for number in range(1, 8)], range(1, 8))
    after = document([thing(number, A, image=number) for number in range(2, 8)], range(2, 8))
    for image in after["images"]:
        image["id"] -= 1
    for annotation in after["annotations"]:
        annotation["image_id"] -= 1
    pictures = {f"{number}.jpg": PICTURES[number] for number in range(2, 8)}
    changes = compare(version(before), version(after, pictures=pictures))
    assert [one.file_name for one in changes.images.removed] == ["1.jpg"]
    assert len(changes.images.renumbered) == 6
    assert not changes.images.replaced
    assert counts(changes) == {}


def test_a_split_that_was_not_there(version: Versions) -> None:
    split = version(document([thing(1, A), thing(2, B, 1)]))
    came, went = compare(None, split), compare(split, None)
    assert [image.image_id for image in came.images.added] == [1, 2, 3]
    assert came.boxes.of_added_images == came.boxes.after == 2
    assert came.listed.added == ("cat", "dog", "emu")
    assert mirrored(came) == went.as_dict()
    assert compare(None, None).is_empty
    for changes in (came, went):
        assert_adds_up(changes)


def large(images: "list[int] | range") -> tuple[Json, dict[str, bytes]]:
    """A document of images, and files so large that there are several shards."""
    chance = random.Random(0)
    padding = {number: b"\xff\xfe\xff\xff" + chance.randbytes(65533) for number in range(40)}
    return document([], images), {
        f"{number}.jpg": PICTURES[number][:2] + 10 * padding[number] + PICTURES[number][2:]
        for number in images
    }


def test_images_that_moved_between_shards_are_unchanged(version: Versions) -> None:
    content, pictures = large(range(1, 31))
    before = version(content, pictures=pictures, shard_mb=8)
    after = version(content, pictures=pictures, shard_mb=2)
    shards = [len(list((each / "images").glob("*.parquet"))) for each in (before, after)]
    assert shards[1] > shards[0] > 1
    assert compare(before, after).is_empty


def test_no_shard_is_read(version: Versions) -> None:
    content, pictures = large(range(1, 31))
    before = version(content, pictures=pictures)
    changed = pictures | {"2.jpg": PICTURES[2]}
    changed["30.jpg"] = pictures["30.jpg"][:-2] + b"\x00\xff\xd9"
    after = version(document([], range(1, 31)), pictures=changed)
    for split in (before, after):
        shutil.rmtree(split / "images")
    found = compare(before, after).images
    assert [one.after.image_id for one in found.replaced] == [2, 30]
    assert not found.added + found.removed


def test_messages(version: Versions, tmp_path: Path) -> None:
    split = version(document([]))
    with pytest.raises(UserError, match="has no captions table, only instances"):
        compare(split, split, document="captions")
    with pytest.raises(UserError, match="is not a converted split"):
        compare(tmp_path / "nothing", split)


# Whatever there is


BOXES = st.one_of(
    st.none(),
    st.tuples(*[st.sampled_from([0, 4, 8])] * 2, *[st.sampled_from([0, 8, 10, 12])] * 2).map(list),
    st.just([math.nan, 1, 1, 1]),
)


@st.composite
def contents(draw: st.DrawFn) -> Json:
    images = draw(st.lists(st.integers(1, 4), unique=True, min_size=1))
    ids = draw(st.lists(st.integers(0, 12), unique=True, max_size=9))
    annotations = [
        {
            "id": number,
            "image_id": draw(st.sampled_from(images)),
            "category_id": draw(st.sampled_from([1, 3])),
            "bbox": draw(BOXES),
            "area": draw(st.sampled_from([1, 2])),
        }
        for number in ids
    ]
    return document(annotations, images)


def renumbered(content: Json, chance: random.Random) -> Json:
    """The same annotations in another order with any ids."""
    annotations = copy.deepcopy(content["annotations"])
    chance.shuffle(annotations)
    for number, annotation in zip(
        chance.sample(range(14), len(annotations)), annotations, strict=True
    ):
        annotation["id"] = number
    return {**content, "annotations": annotations}


WITH_FILES = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@WITH_FILES
@given(before=contents(), after=contents(), chance=st.randoms(use_true_random=False))
def test_of_any_two_documents(
    version: Versions, before: Json, after: Json, chance: random.Random
) -> None:
    one, other = version(before), version(after)
    changes = compare(one, other)
    assert_adds_up(changes)
    assert in_any_order(mirrored(changes)) == in_any_order(compare(other, one).as_dict())
    assert changes == compare(one, other)
    assert compare(one, one).is_empty
    anew = compare(one, version(renumbered(before, chance)))
    assert anew.is_empty
    assert not len(anew.objects)


def best_pairs(before: list[Json], after: list[Json], threshold: float) -> list[tuple[Json, Json]]:
    """Objects of one image that are the same by their boxes, found one by one."""
    if not before or not after:
        return []
    boxes = [np.array([one["bbox"] for one in each], float) for each in (before, after)]
    overlaps = mask.iou(*boxes, [0] * len(after))
    candidates = sorted(
        (before[i]["category_id"] != after[j]["category_id"], -overlaps[i, j], i, j)
        for i in range(len(before))
        for j in range(len(after))
        if overlaps[i, j] >= threshold
    )
    free = set(range(len(before))), set(range(len(after)))
    pairs = []
    for _, _, i, j in candidates:
        if i in free[0] and j in free[1]:
            free[0].remove(i)
            free[1].remove(j)
            pairs.append((before[i], after[j]))
    return pairs


@pytest.mark.parametrize("seed", range(4))
def test_without_common_ids_boxes_decide(version: Versions, seed: int) -> None:
    chance = random.Random(seed)

    def annotations(first: int) -> list[Json]:
        return [
            thing(
                first + number,
                [chance.uniform(0, 60), chance.uniform(0, 60), *(chance.uniform(30, 90),) * 2],
                chance.choice([1, 3, 7]),
                chance.randint(1, 3),
            )
            for number in range(60)
        ]

    before, after = annotations(0), annotations(1000)
    pairs = [
        pair
        for image in range(1, 4)
        for pair in best_pairs(
            *([one for one in each if one["image_id"] == image] for each in (before, after)), 0.5
        )
    ]
    relabelled = Counter(
        (one["category_id"], other["category_id"])
        for one, other in pairs
        if one["category_id"] != other["category_id"]
    )
    assert relabelled
    changes = between(version, before, after)
    names = {one["id"]: one["name"] for one in CATEGORIES}
    assert {(one.before, one.after): one.count for one in changes.relabelled} == {
        (names[old], names[new]): count for (old, new), count in relabelled.items()
    }
    found = {
        (one["id_before"], one["id_after"])
        for one in changes.objects.to_pylist()
        if one["change"] in (Change.MOVED, Change.RELABELLED)
    }
    assert found == {(one["id"], other["id"]) for one, other in pairs}
    assert changes.boxes.removed == changes.boxes.added == 60 - len(pairs)
    assert_adds_up(changes)


# Real data


def edited(content: Json, chance: random.Random) -> Json:
    """As an annotator may leave it: labels, boxes and areas changed, some gone, some new."""
    content = copy.deepcopy(content)
    gone = content["images"].pop(7)["id"]
    kept = []
    highest = max(one["id"] for one in content["annotations"])
    for place, one in enumerate(content["annotations"]):
        what = chance.choices(["same", "gone", "label", "box", "area"], [80, 5, 5, 5, 5])[0]
        if what == "label":
            one["category_id"] = chance.choice(
                [each["id"] for each in content["categories"] if each["id"] != one["category_id"]]
            )
        elif what == "box":
            x, y, width, height = one["bbox"]
            one["bbox"] = [x + width / 20, y, width, height * 0.95]
        elif what == "area":
            one["area"] += 1
        if what != "gone" and one["image_id"] != gone:
            kept.append(one)
        if place % 50 == 0 and one["image_id"] != gone:
            kept.append(one | {"id": highest + 1 + place, "bbox": [0.25, 0.25, 3, 2]})
    return {**content, "annotations": kept}


def objects_of(*documents: Json) -> pd.DataFrame:
    """Both versions side by side, joined by annotation id."""
    frames = []
    for content in documents:
        frame = pd.DataFrame(content["annotations"])
        names = {one["id"]: one["name"] for one in content["categories"]}
        frame["category"] = frame.category_id.map(names)
        frames.append(frame[["id", "image_id", "category", "bbox", "area"]])
    return frames[0].merge(frames[1], on="id", how="outer", indicator=True)


@pytest.fixture(scope="module")
def real_versions(
    real_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], tuple[Json, Json, Path, Path, Path]]:
    source = real_data / "coco_mini"
    content = json.loads((source / "annotations" / "instances_train2017.json").read_text())
    other = edited(content, random.Random(5))
    anew = copy.deepcopy(other)
    for number, annotation in enumerate(anew["annotations"], 100_000):
        annotation["id"] = number
    version = Versions(tmp_path_factory.mktemp("real"))
    files = {path.name: path.read_bytes() for path in (source / "train2017").iterdir()}
    splits = [version(each, pictures=files) for each in (content, other, anew)]
    return content, other, *splits


@pytest.mark.real_data
def test_real_objects_edited_on_purpose(real_versions: Any) -> None:
    content, other, before, after, _ = real_versions
    changes = compare(before, after)
    assert_adds_up(changes)
    rows = objects_of(content, other)
    gone = {one["id"] for one in content["images"]} - {one["id"] for one in other["images"]}
    assert [one.image_id for one in changes.images.removed] == list(gone)
    assert not changes.images.replaced
    in_gone = rows.image_id_x.isin(gone)
    both = rows[rows._merge == "both"]
    is_relabelled = both.category_x != both.category_y
    is_moved = ~is_relabelled & (both.bbox_x.map(tuple) != both.bbox_y.map(tuple))
    is_other = ~is_relabelled & ~is_moved & (both.area_x != both.area_y)
    assert counts(changes) == {
        "added": (rows._merge == "right_only").sum(),
        "removed": ((rows._merge == "left_only") & ~in_gone).sum(),
        "relabelled": is_relabelled.sum(),
        "moved": is_moved.sum(),
        "other": is_other.sum(),
    }
    assert changes.boxes.of_removed_images == in_gone.sum()
    overlaps = [
        mask.iou(np.array([one.bbox_x]), np.array([one.bbox_y]), [0]).item()
        for one in both[is_moved].itertuples()
    ]
    assert changes.boxes.iou_mean == pytest.approx(np.mean(overlaps))
    assert changes.boxes.iou_least == pytest.approx(min(overlaps))
    confused = both[is_relabelled].groupby(["category_x", "category_y"]).size()
    assert {(one.before, one.after): one.count for one in changes.relabelled} == confused.to_dict()
    for one in changes.categories:
        assert one.before == (rows.category_x == one.name).sum()
        assert one.after == (rows.category_y == one.name).sum()
        assert one.removed == ((rows._merge == "left_only") & (rows.category_x == one.name)).sum()
        assert one.added == ((rows._merge == "right_only") & (rows.category_y == one.name)).sum()
        assert one.moved == (is_moved & (both.category_x == one.name)).sum()
    changed = rows[
        (rows._merge != "both") & ~in_gone
        | rows.id.isin(both[is_relabelled | is_moved | is_other].id)
    ]
    per_image = changed.image_id_y.fillna(changed.image_id_x).astype(int).value_counts()
    assert {one.after.image_id: one.changes for one in changes.by_image} == per_image.to_dict()
    assert changes.by_image[0].changes == per_image.max()


@pytest.mark.real_data
def test_real_objects_with_other_ids(real_versions: Any) -> None:
    _, _, before, after, anew = real_versions
    found, again = compare(before, after).as_dict(), compare(before, anew).as_dict()
    assert again["boxes"].pop("renumbered") > 600
    assert found["boxes"].pop("renumbered") == 0
    assert found == again
    assert compare(after, anew).is_empty
