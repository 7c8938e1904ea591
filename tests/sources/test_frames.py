"""In which pixels labels are written, for every way in which EXIF turns a picture."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from cocopipe.pictures.examine import examine
from cocopipe.pictures.turning import turned, turns
from cocopipe.sources.frames import frame_of, stored_size

EXIF = bytes.fromhex("4578696600004d4d002a00000008000101120003000000010006000000000000")
"""Of orientation 6: a whole number of 16 bits, big-endian."""


def with_exif(size: tuple[int, int], exif: bytes, kind: str = "JPEG") -> bytes:
    """A picture with one red corner, top left."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (255, 0, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def oriented(turn: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif.tobytes()


def _red_box(image: Image.Image) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(np.asarray(image.convert("RGB"))[..., 0] > 128)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("size", [(64, 32), (32, 32)])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_box_of_the_picture_as_shown_is_about_the_same_pixels(
    tmp_path: Path, turn: int, size: tuple[int, int], kind: str
) -> None:
    path = tmp_path / "picture"
    path.write_bytes(with_exif(size, oriented(turn), kind))
    with Image.open(path) as image:
        shown = ImageOps.exif_transpose(image)
        left, top, right, bottom = _red_box(shown)
        width, height = shown.size
    frame = frame_of(path)
    x, y = frame.point((left + right) / 2 / width, (top + bottom) / 2 / height)
    sides = frame.extent((right - left) / width, (bottom - top) / height)

    # What convert makes of it: turned where the size that is written says so.
    examined = examine(path.read_bytes())
    its_turn = turns(
        np.array([frame.size]), np.array([examined.size], np.int32), np.array([examined.turn])
    )
    with Image.open(path) as image:
        image.load()
        seen = turned(image, int(its_turn[0]))
    assert seen.size == frame.size
    found = (x - sides[0] / 2, y - sides[1] / 2, x + sides[0] / 2, y + sides[1] / 2)
    assert found == pytest.approx(_red_box(seen))


@pytest.mark.parametrize(
    "exif",
    [
        EXIF.replace(b"\x00\x01\x00\x06", b"\x00\x01\x00\x09"),
        EXIF.replace(b"\x01\x12\x00\x03\x00\x00", b"\x01\x12\x00\x03\xff\xff"),
        EXIF[:20],
        b"Exif\0\0garbage",
    ],
    ids=["9", "too many", "cut off", "garbage"],
)
def test_what_is_no_orientation_turns_nothing(tmp_path: Path, exif: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(with_exif((64, 32), exif))
    assert (frame_of(path).size, frame_of(path).turn) == ((64, 32), 1)


def test_no_picture_is_too_large_to_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(with_exif((64, 32), b"", "PNG"))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert stored_size(path) == (64, 32)
    assert Image.MAX_IMAGE_PIXELS == 100
