"""What waits to be sent, on disk, whatever becomes of the process."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lineage.spool import journal
from lineage.spool.journal import Journal, waiting_in


def lines(number: int, start: int = 0) -> list[bytes]:
    return [b"line %d" % each for each in range(start, start + number)]


def filled(folder: Path, number: int) -> Journal:
    made = Journal(folder)
    for line in lines(number):
        made.add(line)
    return made


def test_the_first_are_dropped_and_the_rest_is_there_for_the_next_process(tmp_path: Path) -> None:
    filled(tmp_path, 5).drop(2)
    assert waiting_in(tmp_path) == 3
    again = Journal(tmp_path)
    assert len(again) == 3
    assert again.first(2) == lines(2, start=2)
    again.drop(3)
    assert len(Journal(tmp_path)) == 0


def test_what_a_kill_left_of_a_line_is_no_record(tmp_path: Path) -> None:
    filled(tmp_path, 2).close()
    with (tmp_path / "records.jsonl").open("ab") as file:
        file.write(b'{"half')
    again = Journal(tmp_path)
    again.add(b"whole")
    assert Journal(tmp_path).first(9) == [*lines(2), b"whole"]


@pytest.mark.parametrize("kept", range(7))
def test_a_kill_in_any_byte_loses_no_line_before_it(tmp_path: Path, kept: int) -> None:
    filled(tmp_path, 3).close()
    path = tmp_path / "records.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: 2 * len(b"line 0\n") + kept])
    assert Journal(tmp_path).first(9) == lines(2)


def test_what_arrived_leaves_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LARGEST_BYTES", 20)
    made = filled(tmp_path, 5)
    made.drop(4)
    made.drop(1)
    assert (tmp_path / "records.jsonl").stat().st_size == 0
    made.add(b"next")
    assert Journal(tmp_path).first(9) == [b"next"]


def test_a_kill_between_emptying_and_noting_it_sends_nothing_twice(tmp_path: Path) -> None:
    filled(tmp_path, 5).drop(5)
    os.truncate(tmp_path / "records.jsonl", 0)
    assert len(Journal(tmp_path)) == 0


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = filled(tmp_path, 1)
    write = os.write

    def half(file: int, data: Any) -> int:
        return write(file, data[: len(data) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            made.add(b"too much")
    made.add(b"fits")
    assert Journal(tmp_path).first(9) == [*lines(1), b"fits"]


def test_nothing_waits_where_nothing_is(tmp_path: Path) -> None:
    assert waiting_in(tmp_path) == 0
