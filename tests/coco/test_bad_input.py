"""Bad input to convert: refused in one sentence that leaves nothing behind, or kept as it is."""

import io
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cocopipe.convert.convert import convert
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.split.images import ImageStore
from tests.coco.coco_files import encode, instances, official, picture, write_files, write_zip

Convert = Callable[..., Any]

SOUND = official([1, 2], "train") | official([3], "val")
IMAGE = "train/1.jpg"
DOCUMENT = "annotations/instances_train.json"

either_method = pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED], ids=["stored", "deflated"]
)
either_member = pytest.mark.parametrize("member", [IMAGE, DOCUMENT], ids=["image", "document"])
either_verification = pytest.mark.parametrize("verify", ["header", "decode"])


def fails(*values: Any, why: str) -> Any:
    """Parameters of what the product does not do yet."""
    return pytest.param(*values, marks=pytest.mark.xfail(strict=True, reason=why))


def refusal(raw: Path, **settings: Any) -> str:
    """What is told of raw data that is converted as the stage does."""
    defaults = {"validation_fraction": 0.3, "subset": None, "on_missing": "error", "workers": 2}
    out = raw.parent / "out"
    with (
        pytest.raises(UserError) as caught,
        new_directory(out / "train") as train,
        new_directory(out / "val") as val,
    ):
        convert(raw, train, val, **(defaults | settings))
    assert list(out.iterdir()) == []
    return one_sentence(str(caught.value))


def one_sentence(text: str) -> str:
    assert text
    assert "\n" not in text
    assert ". " not in text
    return text


# Zips


HEADER_FIELDS = {"flags": (6, "<H"), "method": (8, "<H"), "crc": (14, "<I"), "size": (22, "<I")}
"""Their places in a member's local header (APPNOTE.TXT 4.3.7); 2 more in the central one."""
LOCAL_BYTES, CENTRAL_BYTES = 30, 46
"""Of the headers, without the names that follow."""


def zip_of(raw: Path, changed: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    return write_zip(raw / "all.zip", SOUND | changed, method)


def declare(path: Path, member: str, **fields: int) -> None:
    """Have both headers of a zip's member say something else."""
    with zipfile.ZipFile(path) as archive:
        local = archive.getinfo(member).header_offset
    data = bytearray(path.read_bytes())
    central = data.rindex(member.encode()) - CENTRAL_BYTES
    for field, value in fields.items():
        at, form = HEADER_FIELDS[field]
        struct.pack_into(form, data, local + at, value)
        struct.pack_into(form, data, central + at + 2, value)
    path.write_bytes(data)


@either_method
@either_member
@pytest.mark.parametrize("place", [0, 0.5, 0.99])
def test_a_corrupt_zip_member_is_named(
    tmp_path: Path, method: int, member: str, place: float
) -> None:
    path = zip_of(tmp_path / "raw", {}, method)
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    data = bytearray(path.read_bytes())
    at = info.header_offset + LOCAL_BYTES + len(member) + int(place * info.compress_size)
    data[at : at + 2] = (byte ^ 0xFF for byte in data[at : at + 2])
    path.write_bytes(data)
    assert f"all.zip: {member} is damaged in the zip" in refusal(tmp_path / "raw")


def test_a_corrupt_document_is_not_taken_for_one_with_mistakes(tmp_path: Path) -> None:
    long = instances([1, 2], info={"description": " " * 2**22})
    path = zip_of(tmp_path / "raw", {DOCUMENT: encode(long)})
    path.write_bytes(path.read_bytes().replace(b'[{"id"', b'[{"il"', 1))
    assert f"all.zip: {DOCUMENT} is damaged in the zip" in refusal(tmp_path / "raw")


@pytest.mark.parametrize("part", ["middle", "central directory", "last byte"])
def test_a_truncated_zip_is_named(tmp_path: Path, part: str) -> None:
    path = zip_of(tmp_path / "raw", {})
    data = path.read_bytes()
    ends = {
        "middle": len(data) // 2,
        "central directory": data.rindex(IMAGE.encode()),
        "last byte": -1,
    }
    path.write_bytes(data[: ends[part]])
    assert f"{path} is no readable zip" in refusal(tmp_path / "raw")


@either_member
def test_an_encrypted_zip_member_is_named(tmp_path: Path, member: str) -> None:
    declare(zip_of(tmp_path / "raw", {}), member, flags=0x1)
    assert f"all.zip: {member} is encrypted" in refusal(tmp_path / "raw")


@pytest.mark.parametrize(
    "name",
    [
        "../x.jpg",
        "/abs.jpg",
        "C:\\x.jpg",
        "a\\..\\..\\b.jpg",
        "train/../../x.jpg",
        "\\\\host\\share\\x.jpg",
    ],
)
def test_a_zip_with_a_name_that_climbs_out_is_named(tmp_path: Path, name: str) -> None:
    path = zip_of(tmp_path / "raw", {name: picture(9)})
    assert f"{path} has a member named {name!r}" in refusal(tmp_path / "raw")


@either_method
@pytest.mark.parametrize(
    ("member", "declared"),
    [
        (IMAGE, 10),
        (IMAGE, 10**6),
        (IMAGE, 2**32 - 2),
        (DOCUMENT, 10),
        (DOCUMENT, 10**6),
        (DOCUMENT, 2**32 - 2),
    ],
)
def test_a_zip_member_of_another_size_than_declared_is_named(
    tmp_path: Path, method: int, member: str, declared: int
) -> None:
    declare(zip_of(tmp_path / "raw", {}, method), member, size=declared)
    assert f"all.zip: {member} is damaged in the zip" in refusal(tmp_path / "raw")


def zeros(count_mib: int) -> tuple[bytes, int]:
    """A deflate stream of so many MiB of zeros, and their CRC."""
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = bytes(2**20)
    packed = pack.compress(block) + pack.flush(zlib.Z_FULL_FLUSH)
    crc = 0
    for _ in range(count_mib):
        crc = zlib.crc32(block, crc)
    return packed * count_mib + pack.flush(), crc


@pytest.mark.parametrize(
    ("member", "count_mib", "declared"),
    [
        (IMAGE, 1024, 1000),
        (DOCUMENT, 1024, 1000),
        (IMAGE, 1, 2**30),
        (DOCUMENT, 1, 2**30),
        fails(DOCUMENT, 256, 2**29, why="what is not JSON is read as a whole to say where"),
    ],
)
def test_a_zip_bomb_takes_no_memory(
    tmp_path: Path, member: str, count_mib: int, declared: int
) -> None:
    packed, crc = zeros(count_mib)
    path = zip_of(tmp_path / "raw", {member: packed})
    declare(path, member, method=zipfile.ZIP_DEFLATED, crc=crc, size=declared)
    run = converting(tmp_path / "raw", tmp_path / "out")
    growth_bytes, said = run.communicate(timeout=60)
    assert f"all.zip: {member} is damaged in the zip" in one_sentence(said.rstrip("\n"))
    assert int(growth_bytes) < 100e6
    assert list((tmp_path / "out").iterdir()) == []


# Images that are refused


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


@pytest.mark.parametrize("names", [("a.jpg", "a.jpg"), ("a.jpg", "./a.jpg"), ("a.jpg", ".//a.jpg")])
def test_two_images_of_one_name_are_named(tmp_path: Path, names: tuple[str, str]) -> None:
    document = instances([1, 2])
    for image, name in zip(document["images"], names, strict=True):
        image["file_name"] = name
    write_files(tmp_path / "raw", SOUND | {DOCUMENT: document, "train/a.jpg": picture(1)})
    assert f"the images 1 and 2 of train are both {names[1]}" in refusal(tmp_path / "raw")


def test_a_line_break_in_a_name_does_not_break_the_sentence(tmp_path: Path) -> None:
    document = instances([1])
    document["images"][0]["file_name"] = "a\nb.jpg"
    write_files(tmp_path / "raw", SOUND | {DOCUMENT: document, "train/a\nb.jpg": b""})
    assert "image 1 of train" in refusal(tmp_path / "raw")


# Images that are kept


def encoded(image: Image.Image, kind: str = "JPEG", **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def with_size(width: int, height: int) -> dict[str, Any]:
    """The document of train, with an annotated size of its first image."""
    document = instances([1, 2])
    document["images"][0] |= {"width": width, "height": height}
    return document


@either_verification
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_another_format_than_its_name_says_is_kept(
    tmp_path: Path, converted: Convert, kind: str, verify: str
) -> None:
    data = picture(1, kind=kind)
    _, train, _ = converted(write_files(tmp_path / "raw", SOUND | {IMAGE: data}), verify=verify)
    assert ImageStore(train).read(1) == data


@either_verification
def test_a_cmyk_jpeg_is_kept_and_decodes_to_rgb(
    tmp_path: Path, converted: Convert, verify: str
) -> None:
    import torch  # slow, and nothing else here needs it

    from cocopipe.detect.reading.decoding import decode

    image = Image.new("CMYK", (20, 12), (200, 30, 90, 40))
    data = encoded(image, quality=95)
    _, train, _ = converted(write_files(tmp_path / "raw", SOUND | {IMAGE: data}), verify=verify)
    assert ImageStore(train).read(1) == data
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
    assert conversion.train.stored.turned == ("1.jpg",)
    assert len(conversion.train.stored.mismatched) == (annotated != (20, 12))
    stored = next(iter(ImageStore(train)))
    assert (stored.data, stored.width, stored.height) == (data, *annotated)


@either_verification
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_an_image_50000_pixels_wide_is_kept(
    tmp_path: Path, converted: Convert, kind: str, verify: str
) -> None:
    data = picture(1, (50_000, 8), kind)
    files = SOUND | {IMAGE: data, DOCUMENT: with_size(50_000, 8)}
    conversion, train, _ = converted(write_files(tmp_path / "raw", files), verify=verify)
    assert conversion.train.stored.mismatched == ()
    assert ImageStore(train).read(1) == data


NO_SIZE = "convert.py:_listed takes a size that no image can have for none"


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (7, 12),
        (12, 20),
        (20, 2**31 - 1),
        fails(0, 12, why=NO_SIZE),
        fails(-20, 12, why=NO_SIZE),
        fails(2**31, 12, why=NO_SIZE),
    ],
)
def test_an_annotated_size_that_is_not_the_files_is_listed_or_refused(
    tmp_path: Path, converted: Convert, width: int, height: int
) -> None:
    raw = write_files(tmp_path / "raw", SOUND | {DOCUMENT: with_size(width, height)})
    line = f"1.jpg: annotated {width}x{height}, stored 20x12"
    conversion, *_ = converted(raw)
    assert conversion.train.stored.mismatched == (line,)
    assert conversion.metrics()["train.size_mismatches"] == 1
    said = refusal(raw, on_mismatch="error")
    assert said.startswith(f"1 images of {raw} have another size than their annotations say")
    assert line in said


# Processes that end early


CONVERT = """
import re, sys
from pathlib import Path
from cocopipe.convert.convert import convert
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.stages.__main__ import INTERRUPTED, _full_disk_in_a_sentence

def peak_bytes():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024

raw, out, verify = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
before = peak_bytes()
try:
    with (
        _full_disk_in_a_sentence(),
        new_directory(out / "train") as train,
        new_directory(out / "val") as val,
    ):
        convert(raw, train, val, validation_fraction=0.3, subset=None, on_missing="error",
                workers=2, verify=verify)
except UserError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(INTERRUPTED)
finally:
    print(peak_bytes() - before)
"""
"""Converts as the stage does, tells errors as it does, and prints how much memory that took."""


def converting(
    raw: Path, out: Path, *, verify: str = "header", inside: tuple[str, ...] = (), **settings: Any
) -> subprocess.Popen[str]:
    out.mkdir(exist_ok=True)
    return subprocess.Popen(
        [*inside, sys.executable, "-c", CONVERT, str(raw), str(out), verify],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **settings,
    )


ON_A_SMALL_DISK = """
mount -t tmpfs -o "$1" tmpfs "$2" || exit 99
out="$2"
shift 2
"$@"
code=$?
ls -A "$out"
exit $code
"""
"""Runs a command, in a mount namespace of its own, and lists what it has left on that disk."""


@pytest.mark.parametrize("size", ["size=8k", "size=200k", "nr_inodes=2", "nr_inodes=5"])
def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(tmp_path: Path, size: str) -> None:
    raw = write_files(tmp_path / "raw", official(range(400)))
    out = tmp_path / "out"
    namespace = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", ON_A_SMALL_DISK)
    run = converting(raw, out, inside=(*namespace, "sh", size, str(out)))
    printed, said = run.communicate(timeout=60)
    if run.returncode == 99 or "unshare" in said:
        pytest.skip(f"no small file system can be mounted here: {said}")
    assert run.returncode == 1
    assert "is full: make room" in one_sentence(said.rstrip("\n"))
    _, *left = printed.splitlines()
    assert left == []


def only_small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_file_that_may_not_grow_leaves_nothing(tmp_path: Path) -> None:
    raw = write_files(tmp_path / "raw", official(range(400)))
    run = converting(raw, tmp_path / "out", preexec_fn=only_small_files)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    one_sentence(said.rstrip("\n"))
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("moment", ["val.partial", "*.partial/images/*"], ids=["read", "written"])
def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, moment: str) -> None:
    document = instances(range(400))
    document["annotations"] = [
        one | {"id": 400 * lap + one["image_id"]}
        for lap in range(100)
        for one in document["annotations"]
    ]
    raw = write_files(
        tmp_path / "raw", {DOCUMENT: document, "train/0.jpg": picture(0, (1500, 1000))}
    )
    for image_id in range(1, 400):
        os.link(raw / "train/0.jpg", raw / f"train/{image_id}.jpg")
    out = tmp_path / "out"
    run = converting(raw, out, verify="decode")
    while not list(out.glob(moment)) and run.poll() is None:
        time.sleep(0.005)
    time.sleep(0.01)  # not while the folder itself is made
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert list(out.iterdir()) == []
