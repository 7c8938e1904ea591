import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pycocotools.coco import COCO

from cocopipe.convert.convert import convert
from cocopipe.detect.augment import augmentation
from cocopipe.detect.data import Detections, Images
from cocopipe.detect.loading import batches, loader
from cocopipe.detect.order import Shuffled
from cocopipe.errors import UserError
from tests.detect.splits import HEIGHT, WIDTH, rectangles, write_split

pytestmark = [
    # torchvision 0.29 announces that torchcodec will take its decoders over.
    pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning"),
    # pycocotools 2.0.11 under numpy 2.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

CPU = torch.device("cpu")
LABELS = {7: 1, 3: 2}


def detections(split: Path, **options: Any) -> Detections:
    defaults: dict[str, Any] = {"labels": LABELS, "masks": False, "augment": None, "seed": 0}
    return Detections(split, **(defaults | options))


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


# Randomness and loading


def test_augmentation_depends_on_seed_epoch_and_index_alone(split: Path) -> None:
    augment = augmentation({"photometric": 1, "scale": [0.5, 2]})
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
    dataset = detections(split, augment=augmentation({"horizontal_flip": 0.5}))
    assert dataset[1, 4][1]["image_id"] == 4
    assert not seeds


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_from_any_number_of_workers(split: Path, workers: int) -> None:
    dataset = detections(split, augment=augmentation({"photometric": 1, "scale": [0.5, 2]}))
    order = Shuffled(dataset.images.groups, seed=1)
    source = loader(dataset, order, batch_size=3, workers=workers, device=CPU)
    for epoch in (1, 2):
        order.epoch = epoch
        torch.manual_seed(0)
        loaded = [pair for batch in batches(source, CPU) for pair in zip(*batch, strict=True)]
        assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(0))
        for (image, target), key in zip(loaded, order, strict=True):
            pixels, expected = dataset[key]
            assert torch.equal(image, pixels.float() / 255)
            assert torch.equal(target["boxes"], expected["boxes"])


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_one_sentence_from_any_process(tmp_path: Path, workers: int) -> None:
    document, files = rectangles(3, seed=0, odd=False)
    split = write_split(tmp_path, document, files)
    (shard,) = (split / "images").glob("*.parquet")
    table = pq.read_table(shard)
    files["2.jpg"] = b"damaged since it was converted"
    images = [{"bytes": files[f"{key}.jpg"], "path": f"{key}.jpg"} for key in range(3)]
    place = table.schema.get_field_index("image")
    column = pa.array(images, type=table.schema.field("image").type)
    pq.write_table(table.set_column(place, table.schema.field("image"), column), shard)
    dataset = Images(split)
    source = loader(dataset, range(3), batch_size=3, workers=workers, device=CPU)
    with pytest.raises(UserError) as caught:
        list(batches(source, CPU))
    message = str(caught.value)
    assert message.startswith(f"image 2 of {split} can't be decoded (")
    assert message.endswith("replace it in the source and convert again")
    assert "\n" not in message


@pytest.mark.real_data
def test_real_images_and_boxes(real_data: Path, tmp_path: Path) -> None:
    train, val = tmp_path / "train", tmp_path / "val"
    train.mkdir()
    val.mkdir()
    convert(
        real_data / "coco_mini",
        train,
        val,
        validation_fraction=0.2,
        subset=20,
        on_missing="error",
        workers=1,
    )
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
