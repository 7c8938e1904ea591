"""Images on their way into the store: kept as they are, or refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cocopipe.split.images import ImageStore
from cocopipe.split.tables import read_table
from tests.coco_files import instances, picture, write_files
from tests.converting import (
    DOCUMENT,
    IMAGE,
    SOUND,
    either_verification,
    encoded,
    file_of,
    refusal,
    with_size,
    zip_of,
)

Convert = Callable[..., Any]


def test_the_store_has_the_size_of_the_file(tmp_path: Path, converted: Convert) -> None:
    files = SOUND | {DOCUMENT: with_size(99, 12)}
    del files["annotations/instances_val.json"]["images"][0]["width"]
    conversion, *splits = converted(write_files(tmp_path / "raw", files))
    assert len(conversion.splits["train"].stored.mismatched) == 1
    assert conversion.splits["val"].stored.mismatched == ()
    for split in splits:
        assert {(image.width, image.height) for image in ImageStore(split)} == {(20, 12)}


@either_verification
@pytest.mark.parametrize("is_zip", [False, True], ids=["file", "zip"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(picture(1)[:300], id="JPEG cut in its middle"),
        pytest.param(picture(1)[:-1], id="JPEG cut at its end"),
        pytest.param(picture(1, kind="PNG")[:300], id="PNG cut in its middle"),
        pytest.param(b"", id="empty"),
        pytest.param(b"no picture\n", id="text"),
        pytest.param(b"<!DOCTYPE html>\n<html></html>\n", id="HTML"),
    ],
)
def test_what_is_no_whole_image_is_named(
    tmp_path: Path, data: bytes, is_zip: bool, verify: str
) -> None:
    if is_zip:
        zip_of(tmp_path / "raw", {IMAGE: data})
    else:
        write_files(tmp_path / "raw", SOUND | {IMAGE: data})
    where = f"all.zip: {IMAGE}" if is_zip else IMAGE
    said = refusal(tmp_path / "raw", verify=verify)
    assert said.startswith(f"image 1 of train, {where}, is damaged (")


@pytest.mark.parametrize(
    ("lost_bytes", "verify"),
    [
        (12, "header"),
        (12, "decode"),
        (1, "header"),
        (1, "decode"),
    ],
)
def test_a_png_without_its_end_is_named(tmp_path: Path, lost_bytes: int, verify: str) -> None:
    data = picture(1, kind="PNG")[:-lost_bytes]
    write_files(tmp_path / "raw", SOUND | {IMAGE: data})
    assert f"image 1 of train, {IMAGE}, is damaged" in refusal(tmp_path / "raw", verify=verify)


def test_a_line_break_in_a_name_does_not_break_the_sentence(tmp_path: Path) -> None:
    document = instances([1])
    document["images"][0]["file_name"] = "a\nb.jpg"
    write_files(tmp_path / "raw", SOUND | {DOCUMENT: document, "train/a\nb.jpg": b""})
    assert "image 1 of train" in refusal(tmp_path / "raw")


@either_verification
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_another_format_than_its_name_says_is_kept(
    tmp_path: Path, converted: Convert, kind: str, verify: str
) -> None:
    data = picture(1, kind=kind)
    _, train, _ = converted(write_files(tmp_path / "raw", SOUND | {IMAGE: data}), verify=verify)
    assert file_of(train, 1) == data


@either_verification
def test_a_cmyk_jpeg_is_kept_and_decodes_to_rgb(
    tmp_path: Path, converted: Convert, verify: str
) -> None:
    import torch  # slow, and nothing else here needs it

    from cocopipe.detect.reading.decoding import decode

    image = Image.new("CMYK", (20, 12), (200, 30, 90, 40))
    data = encoded(image, quality=95)
    _, train, _ = converted(write_files(tmp_path / "raw", SOUND | {IMAGE: data}), verify=verify)
    assert file_of(train, 1) == data
    pixels = decode(torch.frombuffer(bytearray(data), dtype=torch.uint8)).pixels
    assert (pixels.dtype, pixels.shape) == (torch.uint8, (3, 12, 20))
    expected = np.asarray(image.convert("RGB"), np.int16).transpose(2, 0, 1)
    assert np.abs(pixels.numpy() - expected).max() <= 3


@either_verification
@pytest.mark.parametrize("annotated", [(20, 12), (12, 20)], ids=["as stored", "as shown"])
def test_an_image_turned_by_exif_stays_as_stored_and_annotated(
    tmp_path: Path, converted: Convert, annotated: tuple[int, int], verify: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    data = encoded(Image.new("RGB", (20, 12)), exif=exif)
    files = SOUND | {IMAGE: data, DOCUMENT: with_size(*annotated)}
    conversion, train, _ = converted(write_files(tmp_path / "raw", files), verify=verify)
    stored = conversion.splits["train"].stored
    assert (stored.turned or stored.as_stored) == ("1.jpg",)
    assert bool(stored.turned) == (annotated == (12, 20))
    assert conversion.splits["train"].stored.mismatched == ()
    assert file_of(train, 1) == data
    (turn,) = {row["turn"] for row in read_table(train, "instances").to_pylist()[:1]}
    assert turn == (6 if annotated == (12, 20) else 1)


@either_verification
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_50000_pixels_wide_is_kept(
    tmp_path: Path, converted: Convert, kind: str, verify: str
) -> None:
    data = picture(1, (50_000, 8), kind)
    files = SOUND | {IMAGE: data, DOCUMENT: with_size(50_000, 8)}
    conversion, train, _ = converted(write_files(tmp_path / "raw", files), verify=verify)
    assert conversion.splits["train"].stored.mismatched == ()
    assert file_of(train, 1) == data


@pytest.mark.parametrize(
    ("width", "height"), [(7, 12), (12, 20), (20, 2**31 - 1), (0, 12), (-20, 12)]
)
def test_an_annotated_size_that_is_not_the_files_is_listed_or_refused(
    tmp_path: Path, converted: Convert, width: int, height: int
) -> None:
    raw = write_files(tmp_path / "raw", SOUND | {DOCUMENT: with_size(width, height)})
    line = f"1.jpg: annotated {width}x{height}, stored 20x12"
    conversion, *_ = converted(raw)
    assert conversion.splits["train"].stored.mismatched == (line,)
    assert conversion.metrics()["train.size_mismatches"] == 1
    said = refusal(raw, on_mismatch="error")
    assert said.startswith(f"1 images of {raw} have another size than their annotations say")
    assert line in said


def test_a_size_that_is_no_number_of_32_bits_is_told(tmp_path: Path, converted: Convert) -> None:
    raw = write_files(tmp_path / "raw", SOUND | {DOCUMENT: with_size(2**31, 12)})
    conversion, *_ = converted(raw)
    assert [each.what for each in conversion.readings] == [
        "width that can't be read, kept and not used"
    ]
