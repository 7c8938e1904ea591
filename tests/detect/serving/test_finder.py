import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from cocopipe.detect.network.detector import load, save
from cocopipe.detect.prediction.predict import predict
from cocopipe.detect.serving.finder import Finder, checked
from cocopipe.pictures.examine import UnreadableImageError
from cocopipe.split.images import ImageStore
from cocopipe.split.tables import read_table
from tests.detect.small import CPU, new_detector, without_background
from tests.detect.splits import encode, rectangles, write_split


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector that looks at images of a third of their size, as of these rectangles."""
    folder = tmp_path_factory.mktemp("model")
    save(without_background(new_detector(image_size=32)), folder)
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of images of all kinds and sizes, one of which was annotated turned."""
    document, files = rectangles(9, seed=3, odd=False)
    picture = Image.open(io.BytesIO(files["1.jpg"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "1.jpg": encode(picture, "JPEG", exif=exif),
        "2.jpg": encode(picture.convert("L"), "PNG"),
        "3.jpg": encode(picture.convert("RGBA"), "PNG"),
        "4.jpg": encode(Image.fromarray(np.asarray(picture.convert("L")) * np.uint16(17)), "PNG"),
        "5.jpg": encode(picture.convert("CMYK"), "JPEG"),
        "6.jpg": encode(picture.convert("P"), "GIF"),
        "7.jpg": encode(picture.resize((301, 517)), "JPEG"),
        "8.jpg": encode(picture.resize((200, 40)), "BMP"),
    }
    for record in document["images"]:
        if record["id"] == 1:
            record["width"], record["height"] = record["height"], record["width"]
        elif record["id"] > 6:
            with Image.open(io.BytesIO(kinds[record["file_name"]])) as image:
                record["width"], record["height"] = image.size
    return write_split(tmp_path_factory.mktemp("mixed"), document, files | kinds)


def test_images_of_every_kind_are_answered_exactly_as_they_are_evaluated(
    model: Path, mixed: Path
) -> None:
    evaluated = predict(
        load(model, CPU), mixed, batch_size=1, score_threshold=0.0, device=CPU, workers=0
    )
    rows = read_table(mixed, "instances", ["image_id", "sha256", "turn"]).to_pylist()
    assert [row["turn"] for row in rows if row["turn"] != 1] == [6]
    finder, store = Finder(model, CPU), ImageStore(mixed)
    answered = [
        result
        for row in sorted(rows, key=lambda row: row["image_id"])
        for result in finder.find(
            store.read(row["sha256"]), score_threshold=0.0, most=100, turn=row["turn"]
        ).results(row["image_id"])
    ]
    assert len(answered) > 200
    assert answered == evaluated


def test_an_image_is_turned_on_demand_alone(model: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.effect_noise((96, 64), 60).convert("RGB")
    data = encode(picture, "PNG", exif=exif)
    finder, limits = Finder(model, CPU), {"score_threshold": 0.0, "most": 100}
    stored = finder.find(data, **limits)
    upright = finder.find(data, **limits, turn=None)
    assert (stored.width, stored.height) == (96, 64)
    assert (upright.width, upright.height) == (64, 96)
    assert upright == finder.find(data, **limits, turn=6)
    same = encode(picture.transpose(Image.Transpose.ROTATE_270), "PNG")
    assert upright == finder.find(same, **limits)
    assert stored == finder.find(encode(picture, "PNG"), **limits, turn=None)


def test_limits_are_kept(model: Path, mixed: Path) -> None:
    finder, data = Finder(model, CPU), ImageStore(mixed).read(ImageStore(mixed).sha256[0])
    every = finder.find(data, score_threshold=0.0, most=100)
    assert every.scores == sorted(every.scores, reverse=True)
    middle = every.scores[len(every.scores) // 2]
    assert min(finder.find(data, score_threshold=middle, most=100).scores) >= middle
    assert finder.find(data, score_threshold=0.0, most=3).boxes == every.boxes[:3]


def test_labels_that_stand_for_no_category_are_not_found(tmp_path: Path) -> None:
    save(new_detector(image_size=32), tmp_path)  # which finds the background
    data = encode(Image.effect_noise((64, 64), 60).convert("RGB"), "JPEG")
    found = Finder(tmp_path, CPU).find(data, score_threshold=0.0, most=100)
    assert {category.name for category in found.categories} <= {"red", "blue"}
    assert len(found.boxes) == len(found.scores) == len(found.categories)


def test_masks_are_as_large_as_the_image(tmp_path: Path) -> None:
    save(new_detector("maskrcnn_resnet50_fpn", image_size=32), tmp_path)
    data = encode(Image.effect_noise((96, 64), 60).convert("RGB"), "JPEG")
    found = Finder(tmp_path, CPU).find(data, score_threshold=0.0, most=5)
    assert found.masks is not None
    assert len(found.masks) == len(found.boxes) > 0
    assert {coco_mask.decode(each).shape for each in found.masks} == {(64, 96)}
    (first, *_) = found.results(7)
    assert first["segmentation"] == found.masks[0]


def test_a_file_is_checked_before_it_is_decoded() -> None:
    whole = encode(Image.effect_noise((64, 64), 60), "JPEG")
    assert checked(whole) == 1
    with pytest.raises(UnreadableImageError, match="no JPEG"):
        checked(b"words")
    with pytest.raises(UnreadableImageError):
        checked(whole[:-200])
    animation = io.BytesIO()
    frames = [Image.new("L", (3000, 3000), number) for number in range(21)]
    frames[0].save(animation, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImageError, match="all its frames have more than 178,956,970"):
        checked(animation.getvalue())
    huge = encode(Image.new("1", (14_000, 14_000)), "PNG")
    with pytest.raises(UnreadableImageError, match="it has more than 178,956,970 pixels"):
        checked(huge)
