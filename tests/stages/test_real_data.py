"""Real images with real annotations, one of the sets through all six stages."""

import hashlib
import json
import os
import signal
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

from tests.sources.servers import Fault, Server
from tests.stages.conftest import Clone

pytestmark = [pytest.mark.slow, pytest.mark.real_data]
STAGES = ["download", "convert", "inspect", "train", "evaluate", "register"]
ZIPS = ["train2017", "val2017"]


def documents(folder: Path) -> list[dict]:
    """The instances documents of a source, read without this project's code."""
    paths = [*folder.rglob("instances_*.json"), *folder.rglob("_annotations.coco.json")]
    return [json.loads(path.read_text()) for path in paths]


def check_data(clone: Clone, source: list[dict]) -> None:
    """What the stages counted is what the source holds."""
    statistics = json.loads((clone.root / "reports/data/statistics.json").read_text())
    for key in ("images", "annotations"):
        assert sum(split[key] for split in statistics.values()) == sum(
            len(document[key]) for document in source
        )


def check(clone: Clone, source: list[dict]) -> None:
    """All six stages ran once, on what the source holds."""
    runs = {run.data.tags["dvc.stage"]: run for run in clone.runs()}
    assert [runs[stage].info.status for stage in STAGES] == ["FINISHED"] * len(STAGES)
    check_data(clone, source)
    metrics = json.loads((clone.root / "reports/evaluate/metrics.json").read_text())
    assert 0 <= metrics["AP50"] <= 1
    client = clone.client()
    version = client.get_model_version_by_alias("coco-detector", "candidate")
    assert version.tags["dvc.hash"] == clone.outs()["models/detector"]


@pytest.mark.parametrize("name", ["coco128", "raccoon"])
def test_a_directory_of_real_images(clone: Clone, real_data: Path, name: str) -> None:
    folder = real_data / name
    clone.set(download__source="directory", download__directory__path=str(folder))
    clone.repro("inspect")
    check_data(clone, documents(folder))
    if name == "coco128":
        clone.repro()
        check(clone, documents(folder))
    download, convert = clone.runs()[:2]
    (source,) = [
        each.dataset for each in download.inputs.dataset_inputs if each.dataset.name == str(folder)
    ]
    raw = {each.dataset.name: each.dataset.digest for each in convert.inputs.dataset_inputs}
    assert source.digest.endswith(".dir")
    assert raw["data/raw"] == clone.outs()["data/raw"]
    assert not any(path.stat().st_nlink > 1 for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def archives(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """coco_mini as COCO serves itself: zips of stored members, under their own names."""
    root = tmp_path_factory.mktemp("archives")
    (root / "zips").mkdir()
    (root / "annotations").mkdir()
    source = real_data / "coco_mini"
    contents = {f"zips/{split}.zip": split for split in ZIPS}
    contents["annotations/annotations_trainval2017.zip"] = "annotations"
    for name, folder in contents.items():
        with zipfile.ZipFile(root / name, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted((source / folder).iterdir()):
                archive.write(path, f"{folder}/{path.name}")
    return root


def test_the_official_archives_over_a_bad_line(
    clone: Clone, archives: Path, real_data: Path
) -> None:
    checksums = {
        path.name: {
            "bytes": path.stat().st_size,
            "md5": hashlib.md5(path.read_bytes()).hexdigest(),
        }
        for path in archives.rglob("*.zip")
    }
    big = "/zips/val2017.zip"
    whole = checksums["val2017.zip"]["bytes"]
    partial = Path(clone.environment["XDG_CACHE_HOME"], "cocopipe/downloads/val2017.zip.partial")
    with Server(archives) as server:
        clone.set(
            download__source="coco",
            download__coco__base_url=server.url,
            download__coco__splits=ZIPS,
            download__coco__checksums=checksums,
        )
        server.fail(big, Fault(cut=0.3), Fault(stall=0.5), Fault(cut=0.7))
        dvc = subprocess.Popen(
            ["dvc", "repro", "download"],
            cwd=clone.root,
            env=clone.environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_bytes(partial, int(whole * 0.45))
        os.killpg(dvc.pid, signal.SIGKILL)
        dvc.wait(timeout=60)
        clone.repro("inspect")
        ranges = [request.range for request in server.gets(big)]
        asked = len(server.requests)
        clone.repro("--force", "download")
        assert len(server.requests) == asked
    starts = [int(each.removeprefix("bytes=").rstrip("-")) for each in ranges if each]
    assert ranges[0] is None
    assert len(starts) == 3
    assert starts[0] == pytest.approx(whole * 0.3, rel=0.02)
    assert starts[2] == pytest.approx(whole * 0.7, rel=0.02)

    killed, *finished = clone.runs()
    assert killed.info.status == "KILLED"
    assert len(finished) == len(["download", "convert", "inspect"]) + 1
    for name, checksum in checksums.items():
        data = (clone.root / "data/raw" / name).read_bytes()
        assert hashlib.md5(data).hexdigest() == checksum["md5"]
    check_data(clone, documents(real_data / "coco_mini"))


def wait_for_bytes(path: Path, size_bytes: int) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size < size_bytes:
        assert time.monotonic() < deadline, "the download did not get that far"
        time.sleep(0.05)
