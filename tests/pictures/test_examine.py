import io
import struct
import zlib

import pytest
from PIL import Image

from cocopipe.pictures.examine import Examined, UnreadableImageError, decode, examine
from tests.coco_files import picture, with_broken_tables


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_the_content_tells_format_and_size(kind: str) -> None:
    assert examine(picture(1, (37, 21), kind)).size == (37, 21)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_truncated(kind: str) -> None:
    data = picture(1, (200, 160), kind)
    with pytest.raises(UnreadableImageError):
        examine(data[: len(data) // 2])


def test_decoding_gives_the_pixels_or_says_why_not() -> None:
    data = picture(1, (37, 21), "PNG")
    with Image.open(io.BytesIO(data)) as image:
        assert decode(data).tobytes() == image.tobytes()
    without_tables = picture(1).replace(b"\xff\xdb", b"\xff\xef")
    assert examine(without_tables).size == (20, 12), "whole, as far as is told without decoding"
    with pytest.raises(UnreadableImageError, match="broken data stream"):
        decode(without_tables)


def test_a_jpeg_may_have_something_behind_its_end() -> None:
    data = picture(1)
    assert examine(data + bytes(100)).size == (20, 12)
    assert examine(data + b"camera notes").size == (20, 12)


def test_grey_cmyk_and_rotated_pictures_keep_their_stored_size() -> None:
    for mode in ("L", "CMYK"):
        buffer = io.BytesIO()
        Image.new(mode, (30, 10)).save(buffer, "JPEG")
        assert examine(buffer.getvalue()).size == (30, 10)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, "JPEG", exif=exif)
    assert examine(buffer.getvalue()).size == (30, 10)


def test_png_with_a_wrong_checksum() -> None:
    data = bytearray(picture(1, (50, 50), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(UnreadableImageError):
        examine(bytes(data))


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0", zlib.compress(b"")]
)
def test_other_bytes(data: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="no JPEG, PNG, WebP"):
        examine(data)


def test_more_pixels_than_anyone_wants() -> None:
    header = bytearray(picture(1, (8, 8), "BMP"))
    header[18:26] = (50_000).to_bytes(4, "little") * 2
    with pytest.raises(UnreadableImageError, match="pixels"):
        examine(bytes(header))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("orientation", "turn"), [(None, 1), (1, 1), (6, 6), (0, 1), (9, 1)])
def test_what_exif_asks_for_is_told_and_not_done(
    kind: str, orientation: int | None, turn: int
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    if orientation is not None:
        exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, kind, exif=exif)
    for whole in (False, True):
        assert examine(buffer.getvalue(), decode=whole) == Examined((30, 10), turn)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0" + bytes(40), b"Exif\0\0MM\0*" + b"\xff" * 20, bytes(9)],
    ids=["empty", "zeros", "an offset out of it", "none at all"],
)
def test_broken_exif_asks_for_nothing(kind: str, exif: bytes) -> None:
    """Editors that strip it leave such remains; the picture is whole."""
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, kind, exif=exif)
    for whole in (False, True):
        assert examine(buffer.getvalue(), decode=whole) == Examined((30, 10))


@pytest.mark.parametrize(("kind", "value"), [(11, struct.pack("<f", 6)), (2, b"6\0\0\0")])
def test_an_orientation_of_another_type(kind: int, value: bytes) -> None:
    entry = struct.pack("<HHI4s", 0x0112, kind, 1 if kind == 11 else 2, value)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    buffer = io.BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, "JPEG", exif=exif)
    turn = examine(buffer.getvalue()).turn
    assert type(turn) is int
    assert turn == (6 if kind == 11 else 1)


def test_decoding_finds_what_headers_do_not_tell() -> None:
    data = with_broken_tables(picture(1, (200, 200)))
    assert examine(data).size == (200, 200)
    with pytest.raises(UnreadableImageError):
        examine(data, decode=True)


def test_a_picture_of_great_width() -> None:
    assert examine(picture(1, (50_000, 2))).size == (50_000, 2)


@pytest.mark.parametrize("cut", range(2, 15))
def test_a_jpeg_of_a_few_bytes(cut: int) -> None:
    data = bytes.fromhex("ffd8fffe0002ffdb00020000ffd9")
    with pytest.raises(UnreadableImageError):
        examine(data[:cut] + b"\xff\xd9")


def test_a_jpeg_that_claims_more_pixels_than_anyone_wants() -> None:
    data = bytearray(picture(1))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = (65_500).to_bytes(2, "big") * 2
    with pytest.raises(UnreadableImageError, match="pixels"):
        examine(bytes(data))
