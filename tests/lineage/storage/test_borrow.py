"""Data to read where they lie."""

from lineage.identity import DataId
from lineage.repository.workspace import Workspace
from lineage.storage.borrow import readable
from tests.lineage.storage.conftest import EMPTY_FOLDER, NOWHERE, content, in_cache, md5, recorded

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
