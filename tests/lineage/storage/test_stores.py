"""Remotes over the network, and caches of other versions of DVC."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace
from lineage.storage.locate import Whereabouts, locate
from lineage.storage.materialise import materialise
from tests.lineage.storage.conftest import (
    EMPTY_FOLDER,
    EVERYWHERE,
    content,
    dvc,
    md5,
    point,
    recorded,
)


def test_s3_is_asked_anew_each_time(s3: Workspace, tmp_path: Path) -> None:
    wanted = [recorded(s3, "pictures"), recorded(s3, "one.txt"), EMPTY_FOLDER]
    assert locate(s3, wanted) == dict.fromkeys(wanted, Whereabouts(True, False, ()))
    dvc(s3.root, "push", "--quiet")  # by another process
    assert locate(s3, wanted) == dict.fromkeys(wanted, EVERYWHERE)
    assert locate(s3, wanted[1:2]) == {wanted[1]: EVERYWHERE}
    shutil.rmtree(s3.root / ".dvc" / "cache")
    assert locate(s3, wanted) == dict.fromkeys(wanted, Whereabouts(False, True, ()))
    written = materialise(s3, wanted[0], tmp_path / "out")
    assert content(written) == {"a.txt": "second", "deep/b.txt": "same"}
    with pytest.raises(LineageError, match=r"neither in the DVC cache nor in .*'store' \(s3://"):
        materialise(s3, recorded(s3, "pictures", "v1"), tmp_path / "then")


def test_content_that_is_elsewhere_is_told_as_unread(s3: Workspace) -> None:
    one = recorded(s3, "one.txt")
    dvc(s3.root, "push", "--quiet", "one.txt")
    found = locate(s3, [one], content=True)[one]
    assert (found.cache, found.remote, found.damaged) == (True, True, ())
    (unread,) = found.unread
    assert unread.startswith("the DVC remote 'store' (s3://")


def test_s3_is_asked_in_bulk(s3: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    versions = [s3.root / "many" / str(version) for version in range(5)]
    for folder in versions:
        folder.mkdir(parents=True)
        for number in range(20):
            (folder / str(number)).write_text(f"{number} {folder.name if number < 8 else 0}")
    dvc(s3.root, "add", "--quiet", *map(str, versions))
    dvc(s3.root, "push", "--quiet", *map(str, versions))
    wanted = [path.parent.name + path.name for path in (s3.root / ".dvc/cache").rglob("*.dir")]
    asked = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self: object, method: str, *arguments: object, **more: object) -> object:
        asked.append(method)
        return await call(self, method, *arguments, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    places = locate(s3, wanted)
    assert sum(place == EVERYWHERE for place in places.values()) == 5
    assert len(asked) < 10


@pytest.mark.parametrize("path", ["one.txt", "pictures"])
def test_a_missing_bucket_is_no_missing_file(s3: Workspace, tmp_path: Path, path: str) -> None:
    shutil.rmtree(s3.root / ".dvc" / "cache")
    point(s3.root, "s3://nowhere/at/all")
    told = (
        r"^the DVC remote 'store' \(s3://nowhere/at/all\) does not answer \(.*bucket.*\): correct"
    )
    with pytest.raises(LineageError, match=told):
        locate(s3, [recorded(s3, path)])
    with pytest.raises(LineageError, match=told):
        materialise(s3, recorded(s3, path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_credentials_are_told(s3: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from s3fs import S3FileSystem

    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    S3FileSystem.clear_instance_cache()  # connections of other tests have theirs
    with pytest.raises(LineageError, match=r"'store' .*credentials"):
        locate(s3, [recorded(s3, "one.txt")])
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("path", ["one.txt", "pictures"])
def test_an_unreachable_remote_is_no_missing_file(there: Workspace, path: str) -> None:
    url = "http://me:secret@127.0.0.1:1/a"
    point(there.root, url)
    # In a process of its own, since DVC leaves its HTTP session open.
    program = "import sys\nfrom lineage.errors import LineageError\n"
    program += "from lineage.repository.workspace import Workspace\n"
    program += "from lineage.storage.locate import locate\n"
    program += "try: locate(Workspace.find(), sys.argv[1:])\n"
    program += "except LineageError as error: print(error)"
    command = [sys.executable, "-c", program, recorded(there, path)]
    told = subprocess.run(command, cwd=there.root, capture_output=True, text=True).stdout
    assert told.startswith("the DVC remote 'store' (http://127.0.0.1:1/a) does not answer")
    assert "secret" not in told


def test_a_kind_of_remote_that_is_not_installed_is_told(there: Workspace) -> None:
    point(there.root, "gs://bucket/a")
    with pytest.raises(LineageError, match=r"'store' .*dvc-gs"):
        locate(there, [recorded(there, "one.txt")])


def test_data_that_dvc_2_stored_are_found(there: Workspace, tmp_path: Path) -> None:
    """Its hash of a text file overlooked carriage returns, and it stored elsewhere."""
    file = md5("a\nb\n")
    listing = json.dumps([{"md5": file, "relpath": "text.txt"}])
    folder = f"{md5(listing)}.dir"
    root = tmp_path / "remote"
    for digest, text in [(file, b"a\r\nb\r\n"), (folder, listing.encode())]:
        (root / digest[:2]).mkdir(exist_ok=True)
        (root / digest[:2] / digest[2:]).write_bytes(text)
    assert locate(there, [folder, file]) == dict.fromkeys(
        [folder, file], Whereabouts(False, True, ())
    )
    written = materialise(there, folder, tmp_path / "out")
    assert (written / "text.txt").read_bytes() == b"a\r\nb\r\n"
    assert locate(there, [folder]) == {folder: EVERYWHERE}
