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


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "RGBA", "P"])
def test_other_pictures_are_as_pillow_converts_them(mode: str) -> None:
    image = Image.linear_gradient("L").convert(mode)
    assert rgb(image) == image.convert("RGB")
