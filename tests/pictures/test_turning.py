"""Pictures are turned as Pillow turns them by their EXIF, where the annotated size says so."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from cocopipe.detect.reading.decoding import decode
from cocopipe.detect.reading.decoding import turned as turned_tensor
from cocopipe.pictures.turning import turned, turns


def stored(turn: int, size: tuple[int, int] = (30, 20)) -> bytes:
    pixels = np.random.default_rng(turn).integers(0, 255, (size[1], size[0], 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = turn
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("turn", range(1, 9))
def test_every_way_is_pillows(turn: int) -> None:
    data = stored(turn)
    with Image.open(io.BytesIO(data)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
        assert np.array_equal(np.asarray(turned(image, turn)), expected)
    file = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    found = turned_tensor(decode(file), turn)
    assert np.array_equal(found.pixels.permute(1, 2, 0).numpy(), expected)
    assert (found.height, found.width) == expected.shape[:2]
    assert turn == 1 or found.pixels.is_contiguous()


def test_only_a_size_that_says_so_turns() -> None:
    rows = [
        ((20, 30), (30, 20), 6, 6),  # annotated as shown
        ((20, 30), (30, 20), 8, 8),
        ((30, 20), (30, 20), 6, 1),  # annotated as stored
        ((20, 30), (30, 20), 1, 1),  # nothing asks for it
        ((20, 30), (30, 20), 3, 1),  # half a turn has the same size
        ((20, 20), (20, 20), 6, 1),  # a square tells nothing
        ((0, 0), (30, 20), 6, 1),  # nor does no size
        ((7, 9), (30, 20), 6, 1),
    ]
    annotated, files, exif, expected = (list(column) for column in zip(*rows, strict=True))
    found = turns(np.array(annotated), np.array(files, np.int32), np.array(exif, np.int8))
    assert found.tolist() == expected
