"""Data by their DVC hash: who has them, and writing them without harm to anything."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.repository.workspace import Workspace
from lineage.storage.borrow import readable
from lineage.storage.locate import Whereabouts, locate
from lineage.storage.materialise import appearing, materialise, write
from tests.conftest import S3Remote
from tests.lineage.conftest import BIN, Project

EMPTY_FOLDER = "d751713988987e9331980363e24189ce.dir"
NOWHERE = "0" * 32
EVERYWHERE = Whereabouts(cache=True, remote=True, missing=())


@pytest.fixture(scope="module")
def pushed(new_project: Callable[[], Project]) -> Project:
    """Two versions of a folder, a file and an empty folder, in cache and remote."""
    project = new_project()
    project.run("dvc", "remote", "add", "--default", "--quiet", "store", f"{project.root}.remote")
    project.write("pictures/a.txt", "first")
    project.write("pictures/deep/b.txt", "same")
    project.write("one.txt", "1")
    (project.root / "nothing").mkdir()
    project.run("dvc", "add", "--quiet", "pictures", "one.txt", "nothing")
    project.commit("version 1")
    project.run("git", "tag", "v1")
    (project.root / "pictures/a.txt").unlink()
    project.write("pictures/a.txt", "second")
    project.run("dvc", "add", "--quiet", "pictures")
    project.commit("version 2")
    project.run("dvc", "push", "--quiet", "--all-commits")
    return project


@pytest.fixture
def there(pushed: Project, tmp_path: Path) -> Workspace:
    """A copy of that project with cache and a remote of its own, to break."""
    root = tmp_path / "project"
    shutil.copytree(pushed.root, root, symlinks=True)
    shutil.copytree(f"{pushed.root}.remote", tmp_path / "remote")
    dvc(root, "remote", "modify", "--local", "store", "url", str(tmp_path / "remote"))
    return Workspace.find(root)


@pytest.fixture
def clone(there: Workspace, tmp_path: Path) -> Workspace:
    """A clone of that copy, without any cache."""
    root = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", there.root, root], check=True)
    dvc(root, "remote", "modify", "--local", "store", "url", str(tmp_path / "remote"))
    return Workspace.find(root)


def dvc(root: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=root,
        env={
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def recorded(workspace: Workspace, path: str, rev: str = "HEAD") -> str:
    """The hash in the .dvc file of a revision, read without this project's code."""
    shown = subprocess.run(
        ["git", "show", f"{rev}:{path}.dvc"],
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split("md5: ")[1].split()[0]


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def in_store(root: Path, digest: str) -> Path:
    """Where DVC 3 keeps an object."""
    return root / "files" / "md5" / digest[:2] / digest[2:]


def in_cache(workspace: Workspace, digest: str) -> Path:
    return in_store(workspace.root / ".dvc" / "cache", digest)


def overwrite(path: Path, text: str) -> None:
    """Damage an object, which is write-protected as DVC protects it."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def content(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


# locate


def test_pushed_data_are_in_cache_and_remote(there: Workspace) -> None:
    wanted = [
        recorded(there, "one.txt"),
        recorded(there, "pictures"),
        recorded(there, "pictures", "v1"),
        recorded(there, "nothing"),
    ]
    assert wanted[-1] == EMPTY_FOLDER
    assert locate(there, wanted) == dict.fromkeys(wanted, EVERYWHERE)


def test_a_fresh_clone_has_them_in_the_remote_alone_and_stays_so(clone: Workspace) -> None:
    wanted = [recorded(clone, "one.txt"), recorded(clone, "pictures"), EMPTY_FOLDER]
    assert locate(clone, wanted) == dict.fromkeys(wanted, Whereabouts(False, True, ()))
    # Asking brings no listing into the cache: DVC would take the folder for complete.
    assert not [path for path in (clone.root / ".dvc/cache").rglob("*") if path.is_file()]


def test_a_folder_is_there_only_with_every_file_of_it(
    there: Workspace, clone: Workspace, tmp_path: Path
) -> None:
    now, before = recorded(there, "pictures"), recorded(there, "pictures", "v1")
    in_store(tmp_path / "remote", md5("second")).unlink()
    assert locate(there, [now, before]) == {now: Whereabouts(True, False, ()), before: EVERYWHERE}
    assert locate(clone, [now, before]) == {
        now: Whereabouts(False, False, (md5("second"),)),
        before: Whereabouts(False, True, ()),
    }
    in_cache(there, md5("same")).unlink()
    assert locate(there, [now]) == {now: Whereabouts(False, False, ())}  # half here, half there


def test_a_folder_whose_listing_is_gone_is_missing(there: Workspace, tmp_path: Path) -> None:
    folder = recorded(there, "pictures")
    in_cache(there, folder).unlink()
    assert locate(there, [folder]) == {folder: Whereabouts(False, True, ())}
    in_store(tmp_path / "remote", folder).unlink()
    assert locate(there, [folder]) == {folder: Whereabouts(False, False, (folder,))}


def test_a_damaged_listing_counts_as_none(there: Workspace, tmp_path: Path) -> None:
    folder = recorded(there, "pictures")
    overwrite(in_cache(there, folder), "[]")
    assert locate(there, [folder]) == {folder: Whereabouts(False, True, ())}
    overwrite(in_store(tmp_path / "remote", folder), "not even JSON")
    assert locate(there, [folder]) == {folder: Whereabouts(False, False, (folder,))}


def test_what_was_never_there_is_missing(there: Workspace) -> None:
    wanted = [NOWHERE, f"{NOWHERE}.dir"]
    assert locate(there, wanted) == {each: Whereabouts(False, False, (each,)) for each in wanted}
    assert locate(there, []) == {}


def test_a_remote_that_is_not_set_up_or_not_asked_is_unknown(there: Workspace) -> None:
    folder = recorded(there, "pictures")
    assert locate(there, [folder], remote=False) == {folder: Whereabouts(True, None, ())}
    dvc(there.root, "remote", "remove", "store")
    assert locate(there, [folder]) == {folder: Whereabouts(True, None, ())}


# materialise


def test_each_version_comes_back_from_a_cache(there: Workspace, tmp_path: Path) -> None:
    then = materialise(there, recorded(there, "pictures", "v1"), tmp_path / "some" / "then")
    assert content(then) == {"a.txt": "first", "deep/b.txt": "same"}
    now = materialise(there, recorded(there, "pictures"), tmp_path / "now")
    assert content(now) == {"a.txt": "second", "deep/b.txt": "same"}
    one = materialise(there, recorded(there, "one.txt"), tmp_path / "one")
    assert one.read_text() == "1"
    nothing = materialise(there, EMPTY_FOLDER, tmp_path / "empty")
    assert nothing.is_dir() and not list(nothing.iterdir())


def test_each_version_comes_back_from_a_remote(clone: Workspace, tmp_path: Path) -> None:
    then = materialise(clone, recorded(clone, "pictures", "v1"), tmp_path / "then")
    assert content(then) == {"a.txt": "first", "deep/b.txt": "same"}
    assert materialise(clone, recorded(clone, "one.txt"), tmp_path / "one").read_text() == "1"
    assert materialise(clone, EMPTY_FOLDER, tmp_path / "empty").is_dir()


def test_half_in_the_cache_and_half_in_the_remote_is_whole(
    there: Workspace, tmp_path: Path
) -> None:
    in_cache(there, md5("same")).unlink()
    in_store(tmp_path / "remote", md5("second")).unlink()
    whole = materialise(there, recorded(there, "pictures"), tmp_path / "whole")
    assert content(whole) == {"a.txt": "second", "deep/b.txt": "same"}


def test_an_edit_of_the_written_files_harms_nothing(there: Workspace, tmp_path: Path) -> None:
    written = materialise(there, recorded(there, "pictures"), tmp_path / "out")
    (written / "a.txt").write_text("edited")
    assert in_cache(there, md5("second")).read_text() == "second"
    assert materialise(there, md5("second"), tmp_path / "again").read_text() == "second"


def test_the_workspace_stays_as_it_is(there: Workspace, tmp_path: Path) -> None:
    def state() -> dict[str, tuple[int, bytes]]:
        private = (there.root / ".dvc" / "tmp", there.root / ".dvc" / "cache")
        return {
            str(path): (path.stat().st_mtime_ns, path.read_bytes())
            for path in there.root.rglob("*")
            if path.is_file() and not any(path.is_relative_to(folder) for folder in private)
        }

    (there.root / "pictures" / "a.txt").unlink()  # a change of the user's own
    (there.root / "pictures" / "a.txt").write_text("being worked on")
    in_cache(there, md5("same")).unlink()
    before = state()
    materialise(there, recorded(there, "pictures", "v1"), tmp_path / "out")
    locate(there, [recorded(there, "pictures")])
    assert state() == before


def test_relative_and_inner_destinations(there: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(there.root / "pictures")
    one = recorded(there, "one.txt")
    assert materialise(there, one, Path("../new/one")) == Path("../new/one")
    assert (there.root / "new" / "one").read_text() == "1"
    with pytest.raises(LineageError, match=r"^a\.txt exists already"):
        materialise(there, one, Path("a.txt"))


def test_what_is_in_the_way_stays(there: Workspace, tmp_path: Path) -> None:
    one = recorded(there, "one.txt")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ["file", "dangling", "."]:
        with pytest.raises(LineageError, match="exists already"):
            materialise(there, one, tmp_path / name)
    for name in ["file/one", "file/deep/one", "dangling/one"]:
        with pytest.raises(LineageError, match=f"{name.split('/')[0]} is no folder"):
            materialise(there, one, tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_failure_leaves_nothing(clone: Workspace, tmp_path: Path) -> None:
    in_store(tmp_path / "remote", md5("second")).unlink()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LineageError, match=f"{md5('second')} are neither in .* 'store' .*remote"):
        materialise(clone, recorded(clone, "pictures"), tmp_path / "some" / "folder" / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), appearing(tmp_path / "some" / "out") as path:
        path.mkdir()
        (path / "file").write_text("half")
        assert not (tmp_path / "some" / "out").exists()
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_what_others_wrote_meanwhile(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), appearing(tmp_path / "some" / "out"):
        (tmp_path / "some" / "theirs").write_text("kept")
        raise KeyboardInterrupt
    assert content(tmp_path) == {"some/theirs": "kept"}


@pytest.mark.parametrize("what", ["file", "file of a folder", "listing"])
def test_a_damaged_object_of_the_cache_is_named(
    there: Workspace, tmp_path: Path, what: str
) -> None:
    wanted = recorded(there, "one.txt" if what == "file" else "pictures")
    damaged = in_cache(there, md5("same") if what == "file of a folder" else wanted)
    sound = damaged.read_text()
    overwrite(damaged, "[]")
    with pytest.raises(LineageError) as told:
        materialise(there, wanted, tmp_path / "out")
    assert str(told.value).startswith(f"{damaged} in the DVC cache is damaged")
    assert not (tmp_path / "out").exists()
    # What the sentence advises.
    damaged.unlink()
    materialise(there, wanted, tmp_path / "out")
    assert damaged.read_text() == sound


def test_a_damaged_object_of_the_remote_never_enters_the_cache(
    clone: Workspace, tmp_path: Path
) -> None:
    overwrite(in_store(tmp_path / "remote", md5("same")), "other")
    with pytest.raises(LineageError, match=f"remote 'store' .* under the name {md5('same')}"):
        materialise(clone, recorded(clone, "pictures"), tmp_path / "out")
    assert not in_cache(clone, md5("same")).exists()
    assert not (tmp_path / "out").exists()


def test_without_a_remote_it_says_how_to_add_one(clone: Workspace, tmp_path: Path) -> None:
    dvc(clone.root, "remote", "remove", "store")
    with pytest.raises(LineageError, match=r"no default DVC remote is set up .*dvc remote add -d"):
        materialise(clone, recorded(clone, "pictures"), tmp_path / "out")


def test_several_are_written_at_once(clone: Workspace, tmp_path: Path) -> None:
    write(
        clone,
        {
            tmp_path / "out" / "then": recorded(clone, "pictures", "v1"),
            tmp_path / "out" / "now" / "one.txt": recorded(clone, "one.txt"),
        },
    )
    assert content(tmp_path / "out") == {
        "then/a.txt": "first",
        "then/deep/b.txt": "same",
        "now/one.txt": "1",
    }


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


# readable


def test_readable_data_are_in_place_or_links_into_the_cache(there: Workspace) -> None:
    now = DataId("pictures", recorded(there, "pictures"))
    then = DataId("pictures", recorded(there, "pictures", "v1"))
    file = DataId("one.txt", md5("first"))
    empty = DataId("empty", EMPTY_FOLDER)
    lost = DataId("one.txt", NOWHERE)
    half = now
    (there.root / "pictures/a.txt").touch()  # the same bytes, with another time
    with readable(there, [now, then, file, empty, lost]) as places:
        assert places.keys() == {now, then, file, empty}
        assert places[now] == there.root / "pictures"
        assert content(places[then]) == {"a.txt": "first", "deep/b.txt": "same"}
        assert all(path.is_symlink() for path in places[then].rglob("*.txt"))
        assert places[file].read_text() == "first" and places[file].name == "one.txt"
        assert not list(places[empty].iterdir())
    assert not places[then].exists()
    assert in_cache(there, md5("first")).read_text() == "first"

    (there.root / "pictures/a.txt").unlink()
    in_cache(there, md5("second")).unlink()
    with readable(there, [half]) as places:
        assert not places


# remotes over the network


@pytest.fixture
def s3(
    pushed: Project, s3_remote: S3Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    """A copy of the project without a cache, whose remote is an empty place on S3."""
    for name, value in s3_remote.environment.items():
        monkeypatch.setenv(name, value)
    root = tmp_path / "project"
    shutil.copytree(pushed.root, root, symlinks=True)
    dvc(root, "remote", "modify", "--local", "store", "url", s3_remote.new().url)
    return Workspace.find(root)


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
    dvc(s3.root, "remote", "modify", "--local", "store", "url", "s3://nowhere/at/all")
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
    dvc(there.root, "remote", "modify", "--local", "store", "url", url)
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
    dvc(there.root, "remote", "modify", "--local", "store", "url", "gs://bucket/a")
    with pytest.raises(LineageError, match=r"'store' .*dvc-gs"):
        locate(there, [recorded(there, "one.txt")])
