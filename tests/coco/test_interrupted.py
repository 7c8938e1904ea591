"""What a conversion leaves behind that did not come to its end."""

import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.coco.coco_files import instances, official, picture, write_files, write_zip

CONVERT = """
import re, sys
from pathlib import Path
from cocopipe.coco.convert import convert
from cocopipe.errors import UserError
from cocopipe.files import new_directory
from cocopipe.stages.__main__ import _full_disk_in_a_sentence
raw, out = map(Path, sys.argv[1:])
print("ready", flush=True)
try:
    with _full_disk_in_a_sentence():
        with new_directory(out / "train") as train, new_directory(out / "val") as val:
            convert(raw, train, val, validation_fraction=0.3, subset=None, on_missing="error",
                    workers=2)
except UserError as error:
    print(error, file=sys.stderr)
    raise SystemExit(1)
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
    print(peak[1] if peak else 0, flush=True)
"""


def convert(raw: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CONVERT, str(raw), str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_disk_that_fills_up_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    files = official(range(400))
    raw = write_files(tmp_path / "raw", files)
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", small]).returncode:
        pytest.skip("only root may mount a small file system")
    try:
        run = convert(raw, small)
        _, said = run.communicate(timeout=60)
        left = list(small.iterdir())
    finally:
        subprocess.run(["umount", small], check=True)
    assert run.returncode == 1
    assert "is full: make room" in said
    assert said.count("\n") == 1
    assert left == []


def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path) -> None:
    files = {f"train/{number}.jpg": picture(number, (400, 300)) for number in range(40)}
    document = instances(range(4000))
    for place, image in enumerate(document["images"]):
        image["file_name"] = f"{place}.jpg"
    many = {f"train/{number}.jpg": files[f"train/{number % 40}.jpg"] for number in range(4000)}
    write_zip(tmp_path / "raw" / "all.zip", {"annotations/instances_train.json": document, **many})
    out = tmp_path / "out"
    out.mkdir()
    run = convert(tmp_path / "raw", out)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    while not list(out.glob("*.partial/images/*")) and run.poll() is None:
        time.sleep(0.005)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("declared", [1000, 2**31])
def test_annotations_that_swell_take_no_memory(tmp_path: Path, declared: int) -> None:
    write_files(tmp_path / "raw", {"train/1.jpg": picture(1)})
    path = tmp_path / "raw" / "annotations.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = b'{"images": [' + b" " * 400_000_000 + b"]}"
        archive.writestr("annotations/instances_train.json", text)
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = declared.to_bytes(4, "little")
    path.write_bytes(data)
    (tmp_path / "out").mkdir()
    run = convert(tmp_path / "raw", tmp_path / "out")
    printed, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "annotations.zip: annotations/instances_train.json is damaged in the zip" in said
    assert int(printed.split()[-1]) < 400_000  # kB
