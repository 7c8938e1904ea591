import unicodedata
from pathlib import Path

import pytest

from cocopipe.coco.file_columns import Files
from cocopipe.coco.naming import ELSEWHERE, meant, near
from cocopipe.coco.zips import DiskFile

ACCENT = "caf\N{LATIN SMALL LETTER E WITH ACUTE}.jpg"


def files(*names: str) -> Files:
    return Files.of((name, DiskFile(Path("raw"), name, 1)) for name in names)


def found(names: list[str], *there: str) -> list[str | None]:
    rows = meant(names, files(*there)).rows.tolist()
    return [there[row] if row >= 0 else None for row in rows]


@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("./a//b/../1.jpg", "a/1.jpg", "as a path of another place"),
        ("images\\1.jpg", "images/1.jpg", "as a path of another place"),
        ("1.jpg", "sub\\1.jpg", ELSEWHERE),
        (ACCENT, unicodedata.normalize("NFD", ACCENT), "in another Unicode form"),
        (unicodedata.normalize("NFD", ACCENT), ACCENT, "in another Unicode form"),
        ("a%20b.jpg", "a b.jpg", "with letters as %20"),
        ("e%CC%81.jpg", "\N{LATIN SMALL LETTER E WITH ACUTE}.jpg", "with letters as %20"),
        ("a b.jpg", "a%20b.jpg", "with letters as %20"),
        ("IMG_1.JPG", "img_1.jpg", "in another letter case"),
        ("train/1.jpg", "1.jpg", ELSEWHERE),
        ("a/b/c/1.jpg", "c/1.jpg", ELSEWHERE),
        ("/data/upload/1/x.jpg", "x.jpg", ELSEWHERE),
        ("C:\\Users\\me\\x.jpg", "x.jpg", ELSEWHERE),
        ("../../x.jpg", "x.jpg", "as a path of another place"),
        ("https://example.org/a/x%201.JPG?token=1", "x 1.jpg", ELSEWHERE),
        ("x.jpg", "day/x.jpg", ELSEWHERE),
        ("Train\\Caf%C3%A9.JPG", "night/cafe\N{COMBINING ACUTE ACCENT}.jpg", ELSEWHERE),
    ],
)
def test_a_name_of_another_machine_means_the_file(name: str, file: str, said: str) -> None:
    there = meant([name, "2.jpg"], files("2.jpg", file, "3.jpg"))
    assert there.rows.tolist() == [1, 0]
    assert there.readings == {said: 1}


def test_names_as_files_have_them_are_not_read_otherwise() -> None:
    there = meant(["a%20b.jpg", "A.jpg", "a\\1.jpg"], files("A.jpg", "a\\1.jpg", "a%20b.jpg"))
    assert there.rows.tolist() == [2, 0, 1]
    assert there.readings == {}


def test_a_name_that_may_be_two_files_is_none() -> None:
    assert found(["x.jpg"], "a/x.jpg", "b/x.jpg") == [None]
    assert found(["X.JPG"], "x.jpg", "x.Jpg") == [None]
    assert found(["a/x.jpg", "b/x.jpg"], "x.jpg") == [None, None]
    assert found(["X.jpg", "x.JPG"], "x.jpg") == [None, None]


def test_a_file_that_is_named_exactly_is_no_other_name_s() -> None:
    assert found(["x.jpg", "X.jpg"], "x.jpg") == ["x.jpg", None]
    assert found(["x.jpg", "X.JPG"], "x.jpg", "x.JPg") == ["x.jpg", "x.JPg"]
    assert found(["1/x.jpg", "2/x.jpg"], "1/x.jpg", "x.jpg") == ["1/x.jpg", "x.jpg"]


def test_the_longest_end_that_is_a_file_is_meant() -> None:
    there = ["a/1.jpg", "b/1.jpg", "1.jpg"]
    assert found(["/root/a/1.jpg", "/root/b/1.jpg"], *there) == ["a/1.jpg", "b/1.jpg"]


@pytest.mark.parametrize(
    ("name", "near_by"),
    [
        ("IMG_1.HEIC", "a/img_1.jpg"),
        ("a/IMG_1.png", "a/img_1.jpg"),
        ("img-1.jpg", "a/img_1.jpg"),
        ("something.jpg", None),
    ],
)
def test_what_is_near_a_missing_name(name: str, near_by: str | None) -> None:
    assert near(name, files("a/img_1.jpg", "a/0002.jpg")) == near_by
