import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO

from cocopipe.detect.training.augment import augmentation
from cocopipe.errors import UserError
from tests.converting import convert_into
from tests.detect.small import LABELS, UNCHANGED, detections
from tests.detect.splits import HEIGHT, WIDTH, posed, rectangles, write_split

# Targets


def test_targets_are_what_torchvision_wants(split: Path) -> None:
    dataset = detections(split)
    assert len(dataset) == 8
    document, _ = rectangles(8, seed=0, odd=False)
    for index in range(8):
        image, target = dataset[0, index]
        assert (image.shape, image.dtype) == ((3, HEIGHT, WIDTH), torch.uint8)
        expected = [item for item in document["annotations"] if item["image_id"] == index]
        assert target["boxes"].dtype == torch.float32
        assert target["boxes"].shape == (len(expected), 4)
        assert target["boxes"].tolist() == [
            [x, y, x + w, y + h] for x, y, w, h in (item["bbox"] for item in expected)
        ]
        assert target["labels"].dtype == torch.int64
        assert target["labels"].tolist() == [LABELS[item["category_id"]] for item in expected]
        assert target["area"].tolist() == [item["area"] for item in expected]
        assert target["iscrowd"].tolist() == [0] * len(expected)
        assert target["image_id"] == index
    assert dataset.objects == 14


def test_boxes_lie_on_what_they_are_boxes_of(split: Path) -> None:
    image, target = detections(split)[0, 3]
    for (x1, y1, x2, y2), label in zip(target["boxes"].int(), target["labels"], strict=True):
        red, _, blue = image[:, (y1 + y2) // 2, (x1 + x2) // 2].tolist()
        assert (red > blue) == (label == LABELS[3])


def test_crowds_and_degenerate_boxes_do_not_reach_training(odd_split: Path) -> None:
    dataset = detections(odd_split, masks=False)
    _, target = dataset[0, 1]
    assert target["boxes"].shape == (4, 4)
    assert target["boxes"][2:].tolist() == [[80, 10, 96, 20], [80, 10, 96, 20]]
    assert target["area"][2:].tolist() == [400, 160]  # width times height where there is none
    assert {len(part) for name, part in target.items() if name != "image_id"} == {4}
    assert dataset[0, 0][1]["boxes"].shape == (0, 4)


def test_masks_are_those_of_pycocotools(tmp_path: Path) -> None:
    document, files = rectangles(3, seed=1, odd=True)
    document["annotations"] = [
        item for item in document["annotations"] if "segmentation" in item or item.get("iscrowd")
    ]
    split = write_split(tmp_path, document, files)
    truth = COCO()
    truth.dataset = json.loads(json.dumps(document))
    truth.createIndex()
    dataset = detections(split, masks=True)
    for index in range(3):
        _, target = dataset[0, index]
        expected = [
            truth.annToMask(item)
            for item in truth.imgToAnns[index]
            if not item.get("iscrowd") and item["bbox"][0] < WIDTH
        ]
        assert target["masks"].dtype == torch.uint8
        assert target["masks"].shape == (len(expected), HEIGHT, WIDTH)
        assert all(map(np.array_equal, target["masks"].numpy(), expected))


def test_an_annotation_that_is_no_object_needs_no_mask(odd_split: Path) -> None:
    # The degenerate boxes of the split have none.
    assert detections(odd_split, masks=True)[0, 1][1]["masks"].shape == (4, HEIGHT, WIDTH)


def test_one_annotation_without_a_mask_is_refused(tmp_path: Path) -> None:
    document, files = rectangles(3, seed=1, odd=False)
    document["annotations"][2]["segmentation"] = []
    split = write_split(tmp_path, document, files)
    with pytest.raises(UserError, match=r"train has 1 annotations without a mask \(ids 2\)"):
        detections(split, masks=True)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    document["annotations"][1]["segmentation"] = {"size": [4, 4], "counts": [0, 16]}
    split = write_split(tmp_path, document, files)
    with pytest.raises(UserError, match=r"annotation 1 of .* can't be drawn on its image of 96x64"):
        detections(split, masks=True)[0, 1]


@pytest.mark.parametrize(
    "segmentation",
    [
        {"size": [HEIGHT, WIDTH], "counts": [5, 10]},
        {"size": [HEIGHT, WIDTH], "counts": [-5, HEIGHT * WIDTH + 5]},
        {"size": [HEIGHT, WIDTH], "counts": "11"},
        {"size": [HEIGHT, WIDTH], "counts": "not runs"},
        [[float("nan"), 0, 10, 0, 10, 10]],
    ],
)
def test_a_malformed_mask_is_refused(tmp_path: Path, segmentation: Any) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    document["annotations"][1]["segmentation"] = segmentation
    split = write_split(tmp_path, document, files)
    with pytest.raises(UserError, match=r"annotation 1 of .* has a mask that can't be drawn"):
        detections(split, masks=True)[0, 1]


def test_a_mask_may_reach_far_outside(tmp_path: Path) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    far = [-5e8, -5e8, 5e8, -5e8, 5e8, 5e8, -5e8, 5e8]
    document["annotations"][1]["segmentation"] = [far]
    split = write_split(tmp_path, document, files)
    assert detections(split, masks=True)[0, 1][1]["masks"][1].all()


def test_boxes_below_a_pixel_do_not_reach_training(tmp_path: Path) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    slivers = [[10, 10, 0.0002, 12], [10, 10, 12, 0.9], [WIDTH - 0.5, 10, 12, 12]]
    kept = [10, 10, 1, 1]
    document["annotations"] = [
        {"id": number, "image_id": 1, "category_id": 3, "bbox": box}
        for number, box in enumerate([*slivers, kept])
    ]
    dataset = detections(write_split(tmp_path, document, files))
    assert dataset[0, 1][1]["boxes"].tolist() == [[10, 10, 11, 11]]


def test_of_a_reduced_image_boxes_and_masks_are_reduced_too(split: Path) -> None:
    whole = detections(split, masks=True)
    reduced = detections(split, masks=True, shortest_side=HEIGHT // 2)
    for index in range(8):
        image, target = reduced[0, index]
        _, expected = whole[0, index]
        assert image.shape == (3, HEIGHT // 2, WIDTH // 2)
        assert torch.allclose(target["boxes"] * 2, expected["boxes"])
        assert torch.equal(target["masks"], expected["masks"][:, ::2, ::2])
        assert torch.equal(target["labels"], expected["labels"])


def test_a_category_without_a_label_is_refused(split: Path) -> None:
    with pytest.raises(UserError, match="annotations of category 3, which the model doesn't know"):
        detections(split, labels={7: 1})


# Keypoints


def test_keypoints_are_those_of_their_document(posed_split: Path) -> None:
    document = posed(rectangles(8, seed=0, odd=False)[0])
    dataset = detections(posed_split, keypoints=3)
    for index in range(8):
        image_id = int(dataset.images.image_ids[index])
        expected = [
            item["keypoints"] for item in document["annotations"] if item["image_id"] == image_id
        ]
        target = dataset[0, index][1]
        assert target["keypoints"].dtype == torch.float32
        assert target["keypoints"].shape == (len(expected), 3, 3)
        assert target["keypoints"].flatten(1).tolist() == expected
    # The other document has no objects.
    assert detections(posed_split).objects == 0


def test_of_a_reduced_image_keypoints_are_reduced_too(posed_split: Path) -> None:
    whole = detections(posed_split, keypoints=3)
    reduced = detections(posed_split, keypoints=3, shortest_side=HEIGHT // 2)
    for index in range(8):
        expected = whole[0, index][1]["keypoints"] * torch.tensor([0.5, 0.5, 1])
        assert torch.equal(reduced[0, index][1]["keypoints"], expected)


def test_an_object_without_keypoints_has_none_labelled(tmp_path: Path) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    points = posed(document)
    del points["annotations"][1]["keypoints"]
    split = write_split(tmp_path, document, files, points)
    first, second = detections(split, keypoints=3)[0, 1][1]["keypoints"]
    assert first.any()
    assert not second.any()


@pytest.mark.parametrize(
    ("keypoints", "sentence"),
    [
        ([1, 2, 2], r"1 annotations \(ids 1\) that have not 3 keypoints"),
        ([1, 2, 2] * 4, r"1 annotations \(ids 1\) that have not 3 keypoints"),
        ([1, float("nan"), 2] * 3, r"\(ids 1\) with keypoints that are no finite numbers"),
    ],
)
def test_odd_keypoints_are_refused(tmp_path: Path, keypoints: list[float], sentence: str) -> None:
    document, files = rectangles(2, seed=1, odd=False)
    points = posed(document)
    points["annotations"][1]["keypoints"] = keypoints
    split = write_split(tmp_path, document, files, points)
    with pytest.raises(UserError, match=sentence):
        detections(split, keypoints=3)


def test_annotations_without_any_keypoint_are_refused(split: Path) -> None:
    with pytest.raises(
        UserError, match="has no keypoint in any of its 14 annotations of instances"
    ):
        detections(split, keypoints=3)


# Augmentation and real data


def test_augmentation_depends_on_seed_epoch_and_index_alone(split: Path) -> None:
    augment = augmentation(replace(UNCHANGED, photometric=1, scale=[0.5, 2]))
    dataset = detections(split, augment=augment)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, target = dataset[1, 4]
    assert torch.rand(1) == expected
    again, same = pickle.loads(pickle.dumps(dataset))[1, 4]
    assert torch.equal(first, again)
    assert torch.equal(target["boxes"], same["boxes"])
    assert not torch.equal(first, dataset[2, 4][0])
    assert not torch.equal(first, detections(split, augment=augment, seed=1)[1, 4][0])


def test_augmentation_leaves_the_generators_of_gpus_alone(
    split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    dataset = detections(split, augment=augmentation(replace(UNCHANGED, horizontal_flip=0.5)))
    assert dataset[1, 4][1]["image_id"] == 4
    assert not seeds


@pytest.mark.real_data
def test_real_images_and_boxes(real_data: Path, tmp_path: Path) -> None:
    _, train, _ = convert_into(real_data / "coco_mini", tmp_path / "data", subset=20)
    dataset = detections(train, labels={key: key for key in range(1, 91)}, masks=True)
    assert len(dataset) == 20
    for index in range(20):
        image, target = dataset[0, index]
        assert len(target["boxes"]) == len(target["masks"])
        assert target["masks"].shape[1:] == image.shape[1:]
        for box, mask in zip(target["boxes"], target["masks"], strict=True):
            ys, xs = mask.nonzero(as_tuple=True)
            around = torch.stack([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            assert torch.allclose(around.float(), box, atol=10)
