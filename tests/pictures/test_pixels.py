import io

import numpy as np
import pytest
from PIL import Image

from cocopipe.pictures.pixels import rgb


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_sixteen_bits_the_upper_eight_are_kept(kind: str) -> None:
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(16, 64)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, kind)
    with Image.open(file) as image:
        pixels = np.asarray(rgb(image))
    assert np.array_equal(pixels, np.stack([ramp // 256] * 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_twelve_bits_in_sixteen_are_shown_by_their_range(kind: str) -> None:
    """By what trains and by what draws alike."""
    ramp = np.arange(0, 4096, 4, dtype=np.uint16).reshape(16, 64)
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, kind)
    with Image.open(file) as image:
        pixels = np.asarray(rgb(image))
    assert np.array_equal(pixels, np.stack([ramp // 16] * 3, axis=2))
    import torch  # slow, and nothing else here needs it

    from cocopipe.detect.reading.decoding import decode

    found = decode(torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)).pixels
    assert np.array_equal(found.permute(1, 2, 0).numpy(), pixels)


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "RGBA", "P"])
def test_other_pictures_are_as_pillow_converts_them(mode: str) -> None:
    image = Image.linear_gradient("L").convert(mode)
    assert rgb(image) == image.convert("RGB")


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("PPM", np.arange(0, 65536, 64, dtype=np.uint16)),
        ("TIFF", np.arange(0, 65536, 64, dtype=np.int32)),
        ("TIFF", np.arange(0, 2**31, 2**21, dtype=np.int32)),
        ("TIFF", np.linspace(0, 1, 1024, dtype=np.float32)),
        ("TIFF", np.linspace(0, 60_000, 1024, dtype=np.float32)),
    ],
    ids=["PGM of 16 bits", "16 bits in 32", "31 bits", "from 0 to 1", "large numbers"],
)
def test_other_depths_are_shown_by_their_range(kind: str, values: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(values.reshape(16, 64)).save(file, kind)
    with Image.open(file) as image:
        pixels = np.asarray(rgb(image))[..., 0].ravel().astype(int)
    assert pixels[0] == 0
    assert pixels[-1] > 230
    assert (np.diff(pixels) >= 0).all()
    assert len(np.unique(pixels)) > 200


def test_what_is_no_number_is_black() -> None:
    values = np.array([[np.nan, np.inf, -np.inf, -1, 0.5, 1]], np.float32)
    assert np.asarray(rgb(Image.fromarray(values)))[0, :, 0].tolist() == [0, 0, 0, 0, 127, 255]
