import shutil
from pathlib import Path

import pytest

from cocopipe.errors import UserError
from cocopipe.sources.disk import require_space, take_file


def test_a_taken_file_is_a_file_of_its_own(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"some bytes" * 10_000)
    source.chmod(0o400)
    take_file(source, target)
    assert target.read_bytes() == source.read_bytes()
    target.write_bytes(b"other")
    assert source.read_bytes() == b"some bytes" * 10_000


def test_needs_on_one_disk_add_up(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_space([(tmp_path / "not" / "yet", free // 4), (tmp_path, free // 4)])
    with pytest.raises(UserError, match=r"too full: [\d,]+ bytes are needed, [\d,]+ are free"):
        require_space([(tmp_path / "not" / "yet", free // 4 * 3), (tmp_path, free // 4 * 3)])
