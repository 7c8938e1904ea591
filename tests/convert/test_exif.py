"""Phone pictures: turned on reading where they were annotated so, and told where nothing tells."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cocopipe.drawing.selection import select
from cocopipe.errors import UserError
from cocopipe.export.yolo import export_yolo
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import read_table
from tests.coco_files import instances, official, write_files
from tests.converting import Converted

Convert = Callable[..., Converted]

SHOWN = (120, 200)
BOX = [10, 40, 50, 80]
RED = (250, 10, 10)


def photograph(turn: int, size: tuple[int, int] = SHOWN, kind: str = "JPEG") -> bytes:
    """A picture that is shown at this size with a red rectangle at `BOX`, stored turned."""
    shown = Image.new("RGB", size, (20, 30, 200))
    x, y, width, height = BOX
    shown.paste(RED, (x, y, x + width, y + height))
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112] = turn
    buffer = io.BytesIO()
    kept = shown.transpose(back[turn]) if turn in back else shown
    kept.save(buffer, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return buffer.getvalue()


def source(turn: int, size: tuple[int, int] | None = SHOWN, box: Any = BOX, **how: Any) -> Any:
    document = instances([1])
    if size is None:
        del document["images"][0]["width"], document["images"][0]["height"]
    else:
        document["images"][0] |= dict(zip(("width", "height"), size, strict=True))
    document["annotations"][0] |= {"bbox": box, "segmentation": []}
    files = {"train/1.jpg": photograph(turn, **how)} | official([2], "val")
    return files | {"annotations/instances_train.json": document}


def is_red(pixels: np.ndarray, box: list[float]) -> bool:
    """Whether a box holds the red rectangle and nothing else; pixels are [H, W, 3]."""
    mask = (np.abs(pixels.astype(int) - RED) < 40).all(axis=2)
    ys, xs = np.nonzero(mask)
    found = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    return bool(np.abs(np.array(found) - box).max() <= 2)


@pytest.mark.parametrize("turn", [6, 8])
@pytest.mark.parametrize("shortest_side", [None, 30])
def test_boxes_and_pixels_are_in_one_frame_for_training(
    tmp_path: Path, converted: Convert, turn: int, shortest_side: int | None
) -> None:
    from cocopipe.detect.reading.images import Images
    from cocopipe.detect.training.detections import Detections

    conversion, train, _ = converted(write_files(tmp_path / "raw", source(turn)))
    assert conversion.splits["train"].stored.turned == ("1.jpg",)
    assert next(iter(ImageStore(train))).data == photograph(turn)
    dataset = Detections(
        train, labels={3: 1}, masks=False, augment=None, seed=0, shortest_side=shortest_side
    )
    image, target = dataset[0, 0]
    assert is_red(image.permute(1, 2, 0).numpy(), target["boxes"][0].tolist())
    assert (image.shape[2] < image.shape[1]) == (SHOWN[0] < SHOWN[1])
    _, found = Images(train, shortest_side=shortest_side)[0]
    assert found["scale"].tolist() == pytest.approx([image.shape[2] / 120, image.shape[1] / 200])


def test_pictures_for_people_are_turned_too(tmp_path: Path, converted: Convert) -> None:
    _, train, _ = converted(write_files(tmp_path / "raw", source(6)))
    (shown,) = select(train, 1)
    x, y, width, height = shown.objects[0]["bbox"]
    assert is_red(np.asarray(shown.image), [x, y, x + width, y + height])


def test_what_is_annotated_as_stored_stays_so(tmp_path: Path, converted: Convert) -> None:
    x, y, width, height = BOX
    as_stored = [y, SHOWN[0] - x - width, height, width]  # a quarter turn back
    raw = write_files(tmp_path / "raw", source(6, SHOWN[::-1], as_stored))
    conversion, train, _ = converted(raw)
    stored = conversion.splits["train"].stored
    assert (stored.turned, stored.as_stored, stored.doubtful) == ((), ("1.jpg",), ())
    (shown,) = select(train, 1)
    assert is_red(np.asarray(shown.image), [y, 60, y + height, 60 + width])
    (tmp_path / "yolo").mkdir()
    (done,) = export_yolo([train], tmp_path / "yolo")
    assert done.turned == 1


def test_yolo_turns_what_was_annotated_so(tmp_path: Path, converted: Convert) -> None:
    _, train, _ = converted(write_files(tmp_path / "raw", source(6)))
    (tmp_path / "yolo").mkdir()
    (done,) = export_yolo([train], tmp_path / "yolo")
    assert done.turned == 0
    (label,) = (tmp_path / "yolo/labels/train").iterdir()
    numbers = [float(each) for each in label.read_text().split()[1:]]
    assert numbers == pytest.approx([35 / 120, 80 / 200, 50 / 120, 80 / 200])


@pytest.mark.parametrize(
    ("size", "box", "is_doubtful"),
    [
        (None, [10, 100, 50, 80], True),  # 180 high, where the file has 120
        (None, [10, 10, 20, 20], False),
    ],
)
def test_no_annotated_size_tells_nothing(
    tmp_path: Path, converted: Convert, size: None, box: list[int], is_doubtful: bool
) -> None:
    raw = write_files(tmp_path / "raw", source(6, size, box))
    stored = converted(raw)[0].splits["train"].stored
    assert stored.as_stored == ("1.jpg",)
    assert stored.doubtful == (("1.jpg",) if is_doubtful else ())


def test_another_document_may_tell_the_size(tmp_path: Path, converted: Convert) -> None:
    """A picture has one turn, whichever of its documents says how large it is."""
    files = source(6, None)
    image = files["annotations/instances_train.json"]["images"][0]
    width, height = SHOWN
    files["annotations/captions_train.json"] = {
        "images": [image | {"width": width, "height": height}],
        "annotations": [{"id": 1, "image_id": 1, "caption": "red"}],
    }
    _, train, _ = converted(write_files(tmp_path / "raw", files))
    for document in ("instances", "captions"):
        assert read_table(train, document)["turn"].to_pylist() == [6]


def test_a_square_tells_nothing(tmp_path: Path, converted: Convert) -> None:
    files = source(6, (150, 150), [100, 100, 80, 30]) | {
        "train/1.jpg": photograph(6, (150, 150)),
    }
    conversion, *_ = converted(write_files(tmp_path / "raw", files))
    assert conversion.splits["train"].stored.doubtful == ("1.jpg",)


def test_a_size_that_is_not_the_files_is_still_refused_on_demand(
    tmp_path: Path, converted: Convert
) -> None:
    raw = write_files(tmp_path / "raw", source(6))
    with pytest.raises(UserError, match=r"only when they are turned as EXIF says, 1\.jpg: set"):
        converted(raw, on_mismatch="error")
