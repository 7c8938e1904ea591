from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cocopipe import load
from cocopipe.convert import image_writer
from cocopipe.detect.reading.images import Images
from cocopipe.detect.reading.loading import batches, loader
from cocopipe.detect.training.augment import augmentation
from cocopipe.errors import UserError
from cocopipe.split import images as image_store
from cocopipe.stream import Stream
from tests.detect.small import CPU, UNCHANGED, detections
from tests.detect.splits import rectangles, write_split

IMAGES = 60


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty images in row groups of four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_writer, "ROW_GROUP", 4)
        patch.setattr(image_store, "ROW_GROUP", 4)
        return write_split(tmp_path_factory.mktemp("many"), *rectangles(IMAGES, seed=0, odd=False))


@pytest.fixture(autouse=True)
def _small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_writer, "ROW_GROUP", 4)
    monkeypatch.setattr(image_store, "ROW_GROUP", 4)


def ids(stream: Stream) -> list[int]:
    return [int(target["image_id"]) for _, target in stream]


def test_each_image_once_an_epoch_reproducibly(many: Path) -> None:
    stream = Stream(detections(many), seed=5)
    assert stream.size == IMAGES
    epochs = []
    for stream.epoch in (1, 2, 1):
        epochs.append(ids(stream))
        assert sorted(epochs[-1]) == list(range(IMAGES))
    assert epochs[0] == epochs[2]
    assert epochs[0] != epochs[1]
    assert ids(Stream(detections(many), seed=6)) != ids(Stream(detections(many), seed=5))


def test_samples_are_those_of_the_dataset(many: Path) -> None:
    dataset = detections(
        many, augment=augmentation(replace(UNCHANGED, photometric=1, scale=[0.5, 2]))
    )
    stream = Stream(dataset, seed=0)
    stream.epoch = 3
    for image, target in stream:
        pixels, expected = dataset[3, int(target["image_id"])]
        assert torch.equal(image, pixels)
        assert torch.equal(target["boxes"], expected["boxes"])


def test_without_shuffling_it_is_in_order(many: Path) -> None:
    assert ids(Stream(Images(many), seed=0, shuffle=False)) == list(range(IMAGES))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_workers_and_ranks_share_the_images(many: Path, workers: int, ranks: int) -> None:
    seen: dict[int, list[int]] = {1: [], 2: []}
    sizes = []
    for rank in range(ranks):
        stream = Stream(Images(many), seed=0, rank=rank, ranks=ranks)
        source = loader(stream, batch_size=4, workers=workers, device=CPU)
        sizes.append(stream.size)
        for stream.epoch in seen:
            loaded = [
                int(target["image_id"]) for _, part in batches(source, CPU) for target in part
            ]
            assert len(loaded) == stream.size
            seen[stream.epoch] += loaded
    assert max(sizes) - min(sizes) <= 1
    for images in seen.values():
        assert sorted(images) == list(range(IMAGES))
    assert seen[1] != seen[2]


def test_no_row_group_is_read_twice(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    original = Images.read_group

    def noted(self: Images, group: int) -> Any:
        read.append(group)
        return original(self, group)

    monkeypatch.setattr(Images, "read_group", noted)
    stream = Stream(Images(many), seed=0)
    ids(stream)
    assert sorted(read) == sorted(set(stream.images.groups.tolist()))


def test_a_pass_may_be_left_early(many: Path) -> None:
    stream = Stream(Images(many), seed=0)
    for _ in stream:
        break
    assert len(ids(stream)) == IMAGES


def test_a_shard_of_another_version_is_refused(tmp_path: Path) -> None:
    split = write_split(tmp_path, *rectangles(8, seed=0, odd=False))
    stream = Stream(Images(split), seed=0)
    other = write_split(tmp_path / "other", *rectangles(5, seed=0, odd=False))
    for shard in (other / "images").iterdir():
        (split / "images" / shard.name).write_bytes(shard.read_bytes())
    with pytest.raises(UserError, match=r"does not hold the images that the annotations list"):
        ids(stream)


def test_as_a_hugging_face_dataset(many: Path) -> None:
    found = load(many)
    assert found["image_id"] == list(range(IMAGES))
    assert found.features["objects"]["category"].feature.names == ["blue", "red"]
