"""Writing data by their hash without harm to anything."""

from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.repository.workspace import Workspace
from lineage.storage.locate import locate
from lineage.storage.materialise import appearing, materialise, write
from tests.lineage.storage.conftest import (
    EMPTY_FOLDER,
    content,
    crafted,
    dvc,
    in_cache,
    in_store,
    md5,
    overwrite,
    recorded,
)

# materialise


def test_what_is_no_file_in_the_cache_is_not_read(there: Workspace, tmp_path: Path) -> None:
    place = in_cache(there, recorded(there, "one.txt"))
    place.unlink()
    place.symlink_to("/dev/zero")
    with pytest.raises(LineageError, match=r"in the DVC cache is no regular file: remove it\."):
        materialise(there, recorded(there, "one.txt"), tmp_path / "one.txt")
    assert not (tmp_path / "one.txt").exists()


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


@pytest.mark.parametrize(
    "name", ["../../evil", "deep/../../mine", "{root}/evil", "a\\..\\..\\evil"]
)
def test_a_listing_that_leads_out_writes_nothing(
    there: Workspace, tmp_path: Path, name: str
) -> None:
    (tmp_path / "mine").write_text("mine")
    folder = crafted(there, "a.txt", name.format(root=tmp_path))
    with pytest.raises(LineageError, match=f"^the listing {folder} names '.*lead out"):
        materialise(there, folder, tmp_path / "some" / "out")
    assert (tmp_path / "mine").read_text() == "mine"
    assert not list(tmp_path.rglob("evil")) and not (tmp_path / "some").exists()


@pytest.mark.parametrize("digest", ["../../../../../../../../etc/passwd", "", "0" * 31, "0" * 33])
def test_what_is_no_hash_never_becomes_a_path(
    there: Workspace, tmp_path: Path, digest: str
) -> None:
    with pytest.raises(LineageError, match="is no hash by which DVC keeps data"):
        materialise(there, digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_odd_names_that_dvc_takes_come_back(there: Workspace, tmp_path: Path) -> None:
    odd = there.root / "odd"
    for name in (
        ".hidden/.gitignore",
        " blank /..a...b",
        "line\nbreak",
        "caf\u00e9/e\u0301",
        "~",
        "-",
        "a\\b",
        "x" * 255,
        "\U0001f600",
    ):
        (odd / name).parent.mkdir(parents=True, exist_ok=True)
        (odd / name).write_text(name)
    dvc(there.root, "add", "--quiet", str(odd))
    digest = (there.root / "odd.dvc").read_text().split("md5: ")[1].split()[0]
    assert content(materialise(there, digest, tmp_path / "out")) == content(odd)
