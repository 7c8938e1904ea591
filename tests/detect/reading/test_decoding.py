import io

import numpy as np
import pytest
import torch
from PIL import Image

from cocopipe.detect.reading import decoding
from cocopipe.detect.reading.decoding import Decoded
from tests.detect.splits import encode


def decode(data: bytes, shortest_side: int | None = None) -> Decoded:
    file = torch.tensor(list(data), dtype=torch.uint8)
    return decoding.decode(file, shortest_side=shortest_side)


def picture() -> Image.Image:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (6, 9, 3), dtype=np.uint8))
    return small.resize((45, 30), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *[("JPEG", mode) for mode in ("RGB", "L", "CMYK")],
        *[("PNG", mode) for mode in ("RGB", "RGBA", "P", "L", "LA", "1")],
        *[(kind, "RGB") for kind in ("WEBP", "GIF", "BMP", "TIFF")],
    ],
)
def test_images_decode_as_pillow_decodes_them(kind: str, mode: str) -> None:
    data = encode(picture().convert(mode), kind)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    pixels = decode(data).pixels
    assert pixels.dtype == torch.uint8
    assert np.abs(pixels.numpy().astype(int) - expected).max() <= 3  # two JPEG decoders


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_are_kept(kind: str) -> None:
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)
    pixels = decode(encode(Image.fromarray(ramp), kind)).pixels
    assert pixels.dtype == torch.uint8
    for channel in pixels.numpy():
        assert np.array_equal(channel, ramp // 256)


def test_of_many_frames_the_first_is_taken() -> None:
    frames = encode(picture(), "GIF", save_all=True, append_images=[picture().rotate(90)])
    assert decode(frames).pixels.shape == (3, 30, 45)


def test_pixels_stay_as_stored_whatever_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    assert decode(encode(picture(), "JPEG", exif=exif)).pixels.shape == (3, 30, 45)


@pytest.mark.parametrize("data", [b"", b"nothing", encode(picture(), "JPEG")[:200]])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode(data)


@pytest.mark.parametrize(
    ("size", "shortest_side", "expected"),
    [
        ((640, 480), 240, (320, 240)),
        ((640, 480), 241, (640, 480)),
        ((480, 640), 120, (120, 160)),
        ((641, 481), 240, (321, 241)),
        ((1600, 1200), 10, (200, 150)),
        ((640, 480), None, (640, 480)),
    ],
)
def test_a_jpeg_is_reduced_as_far_as_its_shorter_side_allows(
    size: tuple[int, int], shortest_side: int | None, expected: tuple[int, int]
) -> None:
    whole = picture().resize(size, Image.Resampling.BICUBIC)
    found = decode(encode(whole, "JPEG", quality=95), shortest_side=shortest_side)
    width, height = expected
    assert found.pixels.shape == (3, height, width)
    assert (found.width, found.height) == size
    assert found.is_reduced == (expected != size)
    assert found.scale == (width / size[0], height / size[1])
    reference = np.asarray(whole.resize(expected, Image.Resampling.BOX)).transpose(2, 0, 1)
    assert np.abs(found.pixels.numpy().astype(int) - reference).mean() < 2


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_of_other_colours_are_reduced_too(mode: str) -> None:
    data = encode(picture().resize((400, 400)).convert(mode), "JPEG")
    assert decode(data, shortest_side=100).pixels.shape == (3, 100, 100)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_is_no_jpeg_is_not_reduced(kind: str) -> None:
    found = decode(encode(picture().resize((400, 400)), kind), shortest_side=100)
    assert not found.is_reduced


def test_a_damaged_jpeg_is_refused_when_reduced_too() -> None:
    data = encode(picture().resize((400, 400)), "JPEG")
    with pytest.raises(ValueError, match=r"\w"):
        decode(data[: len(data) // 2], shortest_side=10)
