import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from cocopipe.errors import UserError
from cocopipe.sources.archives import fetch_archives
from cocopipe.sources.http import Patience
from cocopipe.sources.origin import Origin
from tests.sources.servers import Fault, Server

HASTE = Patience(connect_s=2, stall_s=20, attempts=3, first_wait_s=0.01, longest_wait_s=0.05)
VAL, ANNOTATIONS = "/zips/val2017.zip", "/annotations/annotations_trainval2017.zip"
BODIES = {
    VAL: random.Random(1).randbytes(1_500_000),
    ANNOTATIONS: random.Random(2).randbytes(300_000),
}


def stated(bodies: dict[str, bytes] = BODIES) -> dict[str, dict[str, Any]]:
    return {
        path.rpartition("/")[2]: {"bytes": len(body), "md5": hashlib.md5(body).hexdigest()}
        for path, body in bodies.items()
    }


def fetch(server: Server, folder: Path, **changes: Any) -> list[Origin]:
    (folder / "out").mkdir()
    settings = {
        "splits": ["val2017"],
        "base_url": server.url,
        "checksums": stated(),
        "cache": folder / "cache",
        "patience": HASTE,
    }
    try:
        return fetch_archives(folder / "out", **(settings | changes))
    finally:
        (folder / "out").rename(folder / f"out{time.monotonic_ns()}")


def outputs(folder: Path) -> list[Path]:
    return sorted(folder.glob("out*"))


def check_output(folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.rpartition("/")[2]: body for path, body in BODIES.items()
    }


def test_archives_arrive_whole_despite_cuts(tmp_path: Path) -> None:
    with Server(BODIES) as server:
        server.fail(VAL, Fault(cut=0.3), Fault(cut=0.7))
        server.fail(ANNOTATIONS, Fault(cut=0.3), Fault(cut=0.7))
        origins = fetch(server, tmp_path)
        assert [r.status for r in server.requests] == [200, 206, 206] * 2
    check_output(outputs(tmp_path)[0])
    assert [origin.name for origin in origins] == ["annotations_trainval2017.zip", "val2017.zip"]
    assert origins[1].url == server.url + VAL
    assert origins[1].checksum == "md5:" + hashlib.md5(BODIES[VAL]).hexdigest()


def test_a_verified_archive_is_never_fetched_again(tmp_path: Path) -> None:
    with Server(BODIES) as server:
        fetch(server, tmp_path)
        asked = len(server.requests)
        first = fetch(server, tmp_path)
        assert len(server.requests) == asked == 2
    assert fetch(server, tmp_path) == first  # the server is gone
    for folder in outputs(tmp_path):
        check_output(folder)
    cached = {path.name for path in (tmp_path / "cache").iterdir()}
    assert cached - {"val2017.zip.lock", "annotations_trainval2017.zip.lock"} == {
        "val2017.zip",
        "val2017.zip.json",
        "annotations_trainval2017.zip",
        "annotations_trainval2017.zip.json",
    }
    assert (tmp_path / "cache" / "val2017.zip").stat().st_nlink == 1


def test_archives_put_into_the_cache_by_hand_are_verified_and_used(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    for path, body in BODIES.items():
        (tmp_path / "cache" / path.rpartition("/")[2]).write_bytes(body)
    with Server({}) as server:
        fetch(server, tmp_path)
        assert server.requests == []


def test_a_cached_archive_that_was_damaged_is_fetched_again(tmp_path: Path) -> None:
    with Server(BODIES) as server:
        fetch(server, tmp_path)
        cached = tmp_path / "cache" / "val2017.zip"
        cached.write_bytes(BODIES[VAL][:-1] + b"x")
        fetch(server, tmp_path)
        assert len(server.gets(VAL)) == 2
    check_output(outputs(tmp_path)[-1])


SCRIPT = """
import json, sys
from pathlib import Path
from cocopipe.sources.archives import fetch_archives
base_url, out, cache, checksums = sys.argv[1:]
fetch_archives(Path(out), splits=["val2017"], base_url=base_url,
               checksums=json.loads(checksums), cache=Path(cache))
"""


def start(server: Server, out: Path, cache: Path) -> "subprocess.Popen[bytes]":
    out.mkdir()
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, server.url, str(out), str(cache), json.dumps(stated())],
        stderr=subprocess.PIPE,
    )


def wait_for(path: Path, size_bytes: int) -> None:
    deadline = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size >= size_bytes):
        assert time.monotonic() < deadline, f"{path} did not grow to {size_bytes}"
        time.sleep(0.02)


def test_a_killed_process_is_continued_by_the_next(tmp_path: Path) -> None:
    partial = tmp_path / "cache" / "val2017.zip.partial"
    with Server(BODIES) as server:
        server.fail(VAL, Fault(cut=0.3), Fault(stall=0.7))
        with start(server, tmp_path / "killed", tmp_path / "cache") as process:
            wait_for(partial, 1_000_000)
            os.kill(process.pid, signal.SIGKILL)
        had = partial.stat().st_size
        fetch(server, tmp_path)
        assert server.gets(VAL)[-1].range == f"bytes={had}-"
        assert server.gets(VAL)[-1].status == 206
        assert len(server.gets(ANNOTATIONS)) == 1
    assert outputs(tmp_path)
    check_output(outputs(tmp_path)[0])


def test_two_processes_at_once_fetch_once(tmp_path: Path) -> None:
    with Server(BODIES) as server:
        server.fail(VAL, Fault(stall=0.5))
        with start(server, tmp_path / "one", tmp_path / "cache") as one:
            wait_for(tmp_path / "cache" / "val2017.zip.partial", 700_000)
            second = threading.Thread(target=fetch, args=(server, tmp_path))
            second.start()
            time.sleep(0.3)
            assert len(server.gets(VAL)) == 1
            os.kill(one.pid, signal.SIGKILL)
            second.join(30)
        assert len(server.gets(VAL)) == 2
    check_output(outputs(tmp_path)[-1])


def test_a_wrong_checksum_deletes_the_file(tmp_path: Path) -> None:
    with Server({**BODIES, VAL: BODIES[VAL][::-1]}) as server:
        with pytest.raises(UserError, match=r"val2017\.zip has the md5 \w{32} where \w{32}"):
            fetch(server, tmp_path)
        left = {path.name for path in (tmp_path / "cache").iterdir()}
        assert not {name for name in left if name.startswith("val2017") and "lock" not in name}
        assert "val2017.zip" not in {path.name for path in outputs(tmp_path)[0].iterdir()}
        server.files = BODIES
        fetch(server, tmp_path)
    check_output(outputs(tmp_path)[-1])


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with Server(BODIES) as server, pytest.raises(UserError, match="file/cache, the folder that"):
        fetch(server, tmp_path, cache=tmp_path / "file" / "cache")


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    checksums = stated() | {"val2099.zip": {"bytes": 1, "md5": "0" * 32}}
    with Server(BODIES) as server, pytest.raises(UserError, match=r"val2099\.zip does not exist"):
        fetch(server, tmp_path, splits=["val2099"], checksums=checksums)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": []}, "No split of COCO"),
        ({"splits": ["../etc"]}, "can't be the name of a split"),
        (
            {"splits": ["val2014"]},
            r"val2014\.zip is not one of the archives whose checksum is known",
        ),
        ({"base_url": "coco.org"}, "'coco.org' is not an http"),
        ({"base_url": "file:///data"}, "is not an http"),
        ({"checksums": {"val2017.zip": {"bytes": 3}}}, "md5 None, which isn't 32"),
        ({"checksums": {"val2017.zip": {"bytes": "3", "md5": "0" * 32}}}, "bytes '3', which"),
        ({"checksums": {"val2017.zip": {"bytes": 0, "md5": "0" * 32}}}, "bytes 0, which"),
        ({"checksums": {"val2017.zip": {"bytes": 3, "md5": 123}}}, "md5 123, which"),
        ({"checksums": {"val2017.zip": {"bytes": 10**18, "md5": "0" * 32}}}, "too full"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_asked(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with Server(BODIES) as server:
        with pytest.raises(UserError, match=message):
            fetch(server, tmp_path, **changes)
        assert server.requests == []


def test_credentials_in_the_url_are_used_and_not_recorded(tmp_path: Path) -> None:
    with Server(BODIES) as server:
        url = server.url.replace("//", "//me:secret@")
        origins = fetch(server, tmp_path, base_url=url + "/")
    assert "secret" not in json.dumps([asdict(origin) for origin in origins])
    assert "secret" not in "".join(p.read_text() for p in (tmp_path / "cache").glob("*.json"))


@pytest.mark.real_data
def test_coco_mini_under_cocos_own_names(real_data: Path, tmp_path: Path) -> None:
    mini = real_data / "coco_mini"
    served = tmp_path / "served"
    for name in ("val2017", "annotations"):
        target = served / ("zips/val2017.zip" if name == "val2017" else ANNOTATIONS.lstrip("/"))
        target.parent.mkdir(parents=True)
        with zipfile.ZipFile(target, "w") as archive:
            for file in sorted((mini / name).iterdir()):
                archive.write(file, f"{name}/{file.name}")
    bodies = {path: (served / path.lstrip("/")).read_bytes() for path in (VAL, ANNOTATIONS)}
    with Server(served) as server:
        server.fail(VAL, Fault(cut=0.3), Fault(cut=0.7))
        fetch(server, tmp_path, checksums=stated(bodies))
    with zipfile.ZipFile(outputs(tmp_path)[0] / "val2017.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 79
