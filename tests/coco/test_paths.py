from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cocopipe.coco.paths import path_of


@pytest.mark.parametrize(
    ("file_name", "path"),
    [
        ("1.jpg", "1.jpg"),
        ("a/b/1.jpg", "a/b/1.jpg"),
        ("./a//1.jpg", "a/1.jpg"),
        ("a/../1.jpg", "1.jpg"),
        ("images\\1.jpg", "images/1.jpg"),
        ("/etc/passwd", "etc/passwd"),
        ("../../1.jpg", "1.jpg"),
        ("a\\..\\..\\1.jpg", "1.jpg"),
        ("C:\\Users\\me\\1.jpg", "Users/me/1.jpg"),
        ("C:1.jpg", "1.jpg"),
        ("https://example.org/a/1.jpg?token=1", "example.org/a/1.jpg"),
        ("what?.jpg", "what?.jpg"),
        ("..", "unnamed"),
        ("", "unnamed"),
    ],
)
def test_the_path_of_a_name(file_name: str, path: str) -> None:
    assert path_of(file_name) == path


@given(st.text(st.sampled_from("ab.:/\\?") | st.characters(exclude_categories=["Cs"])))
def test_no_name_leads_out_of_a_folder(file_name: str) -> None:
    path = path_of(file_name)
    folder = Path("/of/its/own")
    assert (folder / path).is_relative_to(folder)
    assert ".." not in PureWindowsPath(path).parts
    assert not PureWindowsPath(path).is_absolute()
