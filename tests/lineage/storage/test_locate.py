"""Who has data of a hash."""

from pathlib import Path

import pytest

from lineage.repository.workspace import Workspace
from lineage.storage.locate import Whereabouts, listings, locate
from tests.lineage.storage.conftest import (
    EMPTY_FOLDER,
    EVERYWHERE,
    NOWHERE,
    crafted,
    dvc,
    in_cache,
    in_store,
    md5,
    overwrite,
    recorded,
)

# locate


def test_pushed_data_are_in_cache_and_remote(there: Workspace) -> None:
    wanted = [
        recorded(there, "one.txt"),
        recorded(there, "pictures"),
        recorded(there, "pictures", "v1"),
        recorded(there, "empty"),
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


@pytest.mark.parametrize(
    "odd", ["../../../../../../../../etc/passwd", "", "etag-5", f"{NOWHERE}\n"]
)
def test_what_is_no_hash_is_nowhere(there: Workspace, odd: str) -> None:
    folder = recorded(there, "pictures")
    assert locate(there, [odd, folder], content=True) == {
        odd: Whereabouts(False, False, (odd,)),
        folder: EVERYWHERE,
    }


def test_a_listing_that_is_refused_counts_as_none_and_says_why(there: Workspace) -> None:
    folder, bad = recorded(there, "pictures"), crafted(there, "../../evil")
    found = locate(there, [folder, bad])
    assert found[folder] == EVERYWHERE
    assert (found[bad].cache, found[bad].missing) == (False, (bad,))
    assert found[bad].refused.startswith(f"the listing {bad} names '../../evil'")
    assert listings(there, [folder, bad]).keys() == {folder}


def test_a_listing_that_is_too_large_is_not_read(there: Workspace, tmp_path: Path) -> None:
    sound = recorded(there, "pictures")
    for place in (in_cache(there, sound), in_store(tmp_path / "remote", sound)):
        place.chmod(0o644)
        with place.open("r+b") as file:
            file.truncate(2**30)
    found = locate(there, [sound])[sound]
    assert found.missing == (sound,)
    assert "has more than 268,435,456 bytes: nothing of it is taken" in found.refused


def test_content_tells_objects_that_hold_other_bytes(there: Workspace, tmp_path: Path) -> None:
    folder, one = recorded(there, "pictures"), recorded(there, "one.txt")
    near = in_cache(there, md5("same"))
    far = [in_store(tmp_path / "remote", each) for each in (md5("second"), one)]
    for path in (near, *far):
        overwrite(path, "other")
    assert locate(there, [folder, one]) == dict.fromkeys([folder, one], EVERYWHERE)
    assert locate(there, [folder, one], content=True) == {
        folder: Whereabouts(False, False, (), (str(far[0]), str(near))),
        one: Whereabouts(True, False, (), (str(far[1]),)),
    }
    overwrite(in_store(tmp_path / "remote", md5("same")), "other")
    assert locate(there, [folder], content=True)[folder].missing == (md5("same"),)


def test_content_tells_a_damaged_listing(there: Workspace) -> None:
    folder = recorded(there, "pictures")
    overwrite(in_cache(there, folder), "[]")
    found = locate(there, [folder], content=True)[folder]
    assert found == Whereabouts(False, True, (), (str(in_cache(there, folder)),))
