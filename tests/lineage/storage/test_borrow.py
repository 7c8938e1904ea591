"""Data to read where they lie."""

import logging
from pathlib import Path

import pytest

from lineage.errors import LineageError
from lineage.identity import DataId
from lineage.repository.workspace import Workspace
from lineage.storage.borrow import exact, in_place, linked, readable
from tests.lineage.storage.conftest import (
    EMPTY_FOLDER,
    NOWHERE,
    content,
    crafted,
    dvc,
    in_cache,
    md5,
    overwrite,
    recorded,
)

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


def test_a_listing_that_leads_out_is_passed_over_with_its_name(
    there: Workspace, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = DataId("bad", crafted(there, "../../../evil", f"{tmp_path}/evil"))
    good = DataId("pictures", recorded(there, "pictures", "v1"))
    with caplog.at_level(logging.WARNING, "lineage"), readable(there, [bad, good]) as places:
        assert places.keys() == {good}
    assert not list(tmp_path.rglob("evil"))
    assert bad.hash in caplog.text


def test_bytes_of_the_cache_that_are_not_what_they_are_called_are_not_given(
    there: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    then = DataId("pictures", recorded(there, "pictures", "v1"))
    # Read-only, as DVC takes for sound without a look.
    overwrite(in_cache(there, md5("first")), "other")
    with caplog.at_level(logging.WARNING, "lineage"), readable(there, [then]) as places:
        assert not places
    assert str(in_cache(there, md5("first"))) in caplog.text
    with pytest.raises(LineageError, match="is damaged"), linked(there, {"a": md5("first")}):
        pass


def test_what_dvc_checked_out_from_a_damaged_cache_is_not_given(
    there: Workspace, tmp_path: Path
) -> None:
    now = DataId("one.txt", recorded(there, "one.txt"))
    overwrite(in_cache(there, now.hash), "X")
    (there.root / "one.txt").unlink()
    dvc(there.root, "checkout", "--quiet", "one.txt")
    assert (there.root / "one.txt").read_text() == "X"
    assert in_place(there, [now]) == [now]  # says DVC's memory
    assert in_place(there, [now], content=True) == []
    with readable(there, [now]) as places:
        assert not places
    with pytest.raises(LineageError, match="is damaged"), exact(there, now):
        pass


@pytest.mark.parametrize("path", ["/dev/zero", "../secret", "{root}/secret", "..", "", "endless"])
def test_a_path_that_leads_out_is_not_opened(there: Workspace, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("1")
    (there.root / "endless").symlink_to("/dev/zero")
    data = DataId(path.format(root=tmp_path), md5("1"))
    assert in_place(there, [data]) == []
    # The bytes themselves are to be had all the same, under a name that leads nowhere.
    with exact(there, data) as place, readable(there, [data]) as places:
        assert place.read_text() == places[data].read_text() == "1"
        assert {place, places[data]}.isdisjoint({tmp_path / "secret", Path("/dev/zero")})


def test_names_that_lead_out_are_not_linked(there: Workspace, tmp_path: Path) -> None:
    with pytest.raises(LineageError, match="may lead out"), linked(there, {"../evil": md5("1")}):
        pass
