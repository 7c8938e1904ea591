import gc
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from cocopipe.detect.reading.images import Images
from cocopipe.detect.reading.loading import batches, loader
from cocopipe.detect.reading.order import Shuffled
from cocopipe.detect.training.augment import augmentation
from cocopipe.errors import UserError
from tests.detect.small import CPU, UNCHANGED, detections
from tests.detect.splits import rectangles, write_split


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_from_any_number_of_workers(split: Path, workers: int) -> None:
    dataset = detections(
        split, augment=augmentation(replace(UNCHANGED, photometric=1, scale=[0.5, 2]))
    )
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
def test_an_unreadable_image_is_one_sentence_from_any_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    # So long does torch wait for a worker to end, and after an error it waits in vain.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)
    document, files = rectangles(3, seed=0, odd=False)
    split = write_split(tmp_path, document, files)
    (shard,) = (split / "images").glob("*.parquet")
    table = pq.read_table(shard)
    files["2.jpg"] = b"damaged since it was converted"
    images = [{"bytes": files[f"{key}.jpg"], "path": None} for key in range(3)]
    place = table.schema.get_field_index("image")
    column = pa.array(images, type=table.schema.field("image").type)
    pq.write_table(table.set_column(place, table.schema.field("image"), column), shard)
    dataset = Images(split)
    source = loader(dataset, range(3), batch_size=3, workers=workers, device=CPU)
    with pytest.raises(UserError) as caught:
        list(batches(source, CPU))
    message = str(caught.value)
    del caught, source
    gc.collect()  # ends the worker
    assert message.startswith(f"image 2 of {split} can't be decoded (")
    assert message.endswith("replace it in the source and convert again")
    assert "\n" not in message
